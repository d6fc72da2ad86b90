"""Statements sent by the driver itself: what a write and the board ask for again and again.

To compile and adapt a statement costs SQLAlchemy several times what the driver takes to send it.
The transaction is still the session's, and what goes wrong is raised as the session would raise it.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple, TypeVar, cast

import psycopg
from psycopg.rows import args_row
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import SessionTransaction

Row = TypeVar("Row", bound=NamedTuple)
Parameters = Mapping[str, object] | Sequence[object] | None
Connection = psycopg.AsyncConnection[tuple[object, ...]]

_CONNECTION_KEY = "driver's connection"


@asynccontextmanager
async def driver(session: AsyncSession) -> AsyncIterator[Connection]:
    """Give the connection of the session's transaction, as the driver has it."""
    connection, inner = await _connection(session)
    try:
        yield inner
    except psycopg.Error as error:
        if inner.closed:
            await connection.invalidate(error)
        wrapped = DBAPIError.instance(
            None,
            None,
            error,
            psycopg.Error,
            connection_invalidated=inner.closed,
            dialect=connection.dialect,
        )
        raise wrapped from error


@asynccontextmanager
async def pipelined(session: AsyncSession) -> AsyncIterator[Connection]:
    """Send what is executed within in one trip; what goes wrong with it is raised at the end."""
    async with driver(session) as connection:
        if connection.pgconn.pipeline_status:
            yield connection
        else:
            async with connection.pipeline():
                yield connection


async def _connection(session: AsyncSession) -> tuple[AsyncConnection, Connection]:
    """Look the connection up once in a transaction: to ask for it costs as much as a statement.

    A savepoint is set only when a session's connection is asked for within it.
    """
    known = session.info.get(_CONNECTION_KEY)
    if known is None or known[0] is None or known[0] is not _innermost(session):
        connection = await session.connection()
        raw = await connection.get_raw_connection()
        inner = cast("Connection", raw.driver_connection)
        known = session.info[_CONNECTION_KEY] = (_innermost(session), connection, inner)
    return known[1], known[2]


def _innermost(session: AsyncSession) -> SessionTransaction | None:
    sync = session.sync_session
    return sync.get_nested_transaction() or sync.get_transaction()


async def fetch(
    session: AsyncSession,
    row: type[Row],
    statement: str,
    parameters: Parameters = None,
    *,
    prepare: bool = True,
) -> list[Row]:
    """Return what a statement finds, each row as a ``row`` of its columns in their order.

    It is prepared, and kept for as long as the connection, unless it will not come again.
    """
    async with driver(session) as connection:
        cursor = connection.cursor(row_factory=args_row(row))
        await cursor.execute(statement.encode(), parameters, prepare=prepare)
        return await cursor.fetchall()
