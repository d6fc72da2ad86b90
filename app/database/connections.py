"""Connections: to the first of some hosts that serves, and given up soon if none does."""

import asyncio
from typing import cast

import psycopg
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import Engine, create_engine

CONNECT_SECONDS = 5.0
"""For all hosts, less than a request waits: one that hangs must leave time to try the next."""

_SOON_NOTICED = {
    "keepalives_idle": 2,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 6000,
}
"""A machine that vanished closes no connection: the kernel has to find out."""


def conninfo(url: str) -> dict[str, str]:
    """Return a database URL's parts; ``host`` and ``port`` may each be a list, with commas."""
    _, _, rest = url.partition("://")
    return {name: str(value) for name, value in conninfo_to_dict(f"postgresql://{rest}").items()}


def hosts_of(url: str) -> list[dict[str, str]]:
    """Return the parts of the URL once for each host that it names."""
    parts = conninfo(url)
    hosts = parts.get("host", "").split(",")
    ports = parts.get("port", "").split(",")
    if len(ports) == 1:
        ports *= len(hosts)
    return [
        parts | {name: value for name, value in (("host", host), ("port", port)) if value}
        for host, port in zip(hosts, ports, strict=True)
    ]


def create_sync_engine(url: str) -> Engine:
    """Return an engine for commands and migrations; it tries the hosts of ``url`` in turn."""
    return create_engine(
        "postgresql+psycopg://", connect_args=conninfo(url) | {"connect_timeout": "5"}
    )


class Connector:
    """Opens connections to one database, first where the last one was opened.

    All that a process asks of one database goes through one of these. So it stays with a standby
    that took over, even when the old primary is back.
    """

    def __init__(self, url: str) -> None:
        self._hosts = tuple(hosts_of(url))

    async def __call__(
        self, _: str = "", *, seconds: float | None = None, **options: object
    ) -> psycopg.AsyncConnection:
        """Return a connection. Raises OperationalError when no host serves as asked.

        Each host has so many seconds to answer, or an equal part of ``CONNECT_SECONDS``.
        """
        faults: list[str] = []
        limit = seconds or CONNECT_SECONDS / len(self._hosts)
        for host in self._hosts:
            try:
                async with asyncio.timeout(limit):
                    connection = await self._open(host, options)
            except TimeoutError:
                faults.append(f"{host.get('host', 'the server')} does not answer")
            except psycopg.OperationalError as error:
                faults.append(str(error))
            else:
                self._hosts = (host, *(other for other in self._hosts if other is not host))
                return connection
        raise psycopg.OperationalError("; ".join(faults))

    @staticmethod
    async def _open(host: dict[str, str], options: dict[str, object]) -> psycopg.AsyncConnection:
        parameters = {**_SOON_NOTICED, **host, **options}
        # The driver's parameters are of many types; SQLAlchemy passes its own among them.
        connect = cast("type[psycopg.AsyncConnection[tuple[object, ...]]]", psycopg.AsyncConnection)
        return await connect.connect(**parameters)  # type: ignore[arg-type]
