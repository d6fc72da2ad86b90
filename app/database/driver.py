"""Statements sent by the driver itself, for frequent statements of writes and of the board.

SQLAlchemy takes several times as long to compile a statement as the driver takes to send it. The
statements still run in the transaction of the session, and raise the same errors.
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
    """Send the statements of the block in one round trip. Their errors are raised at the end."""
    async with driver(session) as connection:
        if connection.pgconn.pipeline_status:
            yield connection
        else:
            async with connection.pipeline():
                yield connection


async def _connection(session: AsyncSession) -> tuple[AsyncConnection, Connection]:
    """Return the connections of a session, cached because the lookup costs as much as a statement.

    The cache is for one transaction or savepoint: only the lookup sets the savepoint.
    """
    cached = session.info.get(_CONNECTION_KEY)
    if cached is None or cached[0] is None or cached[0] is not _innermost(session):
        connection = await session.connection()
        raw = await connection.get_raw_connection()
        inner = cast("Connection", raw.driver_connection)
        cached = session.info[_CONNECTION_KEY] = (_innermost(session), connection, inner)
    return cached[1], cached[2]


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
    """Return the rows of a statement, each as a ``row`` of its columns in their order.

    With ``prepare`` the statement is prepared once for each connection.
    """
    async with driver(session) as connection:
        cursor = connection.cursor(row_factory=args_row(row))
        await cursor.execute(statement.encode(), parameters, prepare=prepare)
        return await cursor.fetchall()
