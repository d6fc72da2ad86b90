"""Connections to the first available host of several, with short timeouts."""

import asyncio
from typing import cast

import psycopg
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import Engine, create_engine

CONNECT_SECONDS = 5.0
"""For all hosts together, less than a request waits: a host that hangs leaves time for others."""

_KEEPALIVES = {
    "keepalives_idle": 2,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 6000,
}
"""Detect a machine that has disappeared, since it does not close its connections."""


def conninfo(url: str) -> dict[str, str]:
    """Return the parts of a database URL; ``host`` and ``port`` may be lists, with commas."""
    _, _, rest = url.partition("://")
    return {name: str(value) for name, value in conninfo_to_dict(f"postgresql://{rest}").items()}


def hosts_of(url: str) -> list[dict[str, str]]:
    """Return the parts of the URL for each host in it."""
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
    """Return an engine for commands and migrations, which tries the hosts of ``url`` in turn."""
    return create_engine(
        "postgresql+psycopg://",
        connect_args=conninfo(url) | {"connect_timeout": "5"},
        hide_parameters=True,
    )


class Connector:
    """Opens connections to a database, first on the host where the last one was opened.

    A process has one connector for each database. So it stays with a standby that took over, even
    when the old primary is back.
    """

    def __init__(self, url: str) -> None:
        self._hosts = tuple(hosts_of(url))

    async def __call__(
        self, _: str = "", *, seconds: float | None = None, **options: object
    ) -> psycopg.AsyncConnection:
        """Return a connection. Raises OperationalError if no host is available.

        Each host has ``seconds`` to answer, by default an equal part of `CONNECT_SECONDS`.
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
        parameters = {**_KEEPALIVES, **host, **options}
        # The driver's parameters are of many types; SQLAlchemy passes its own among them.
        connect = cast("type[psycopg.AsyncConnection[tuple[object, ...]]]", psycopg.AsyncConnection)
        return await connect.connect(**parameters)  # type: ignore[arg-type]
