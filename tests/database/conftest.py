"""What the tests of notices in the database stand on: a writer that knows no more than SQL."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from psycopg.types.json import Jsonb

from app.embedded.server import OWNER, SERVICE, Server
from tests.conftest import EMPTY, Database, clone
from tests.database.next_release import NextRelease
from tests.database.test_refusals import Log, build

Fields = dict[str, Any]


class Teller(Log):
    """A writer of notices, incidents and retractions: valid ones, changed as a test wants."""

    def notify(self, **fields: object) -> UUID:
        """Add a notice about Lithuania, uncited, and return its id."""
        values: Fields = {
            "kind": "security_measure",
            "issuer_country": "LT",
            "countries": ["LT"],
            "borders": [],
            "crossings": [],
            "text": Jsonb({"en": "Patrols are doubled"}),
            "figures": Jsonb([]),
            "certainty": "confirmed",
            "effective": "[2024-01-01 00:00Z,)",
            "precision": "minute",
            "contradicts": [],
        }
        return self._append("notice", values | fields)

    def tell(self, **fields: object) -> UUID:
        """Add an incident, uncited, and return its id."""
        values = {"title": Jsonb({"en": "A story"}), "summary": Jsonb({"en": "It begins."})}
        return self._append("incident", values | fields)

    def withdraw(self, **fields: object) -> UUID:
        return self._append("retraction", {"reason_code": "other", **fields})

    def _append(self, table: str, fields: Fields) -> UUID:
        columns: Fields = {"id": uuid4(), **fields}
        self.insert(table, **(columns if "change" in fields else self.place() | columns))
        found: UUID = columns["id"]
        return found


@pytest.fixture
def next_release(tmp_path: Path) -> NextRelease:
    return NextRelease(tmp_path / "migrations")


@pytest.fixture(scope="module")
def ground(postgres: Server) -> Iterator[tuple[Database, UUID]]:
    """A database that a module's tests share, for none takes from it, and the source in it."""
    with clone(postgres, EMPTY) as found, found.connect() as connection:
        log = Log(connection)
        build(log)
        yield found, log.source


@pytest.fixture(params=[OWNER, SERVICE])
def teller(ground: tuple[Database, UUID], request: pytest.FixtureRequest) -> Iterator[Teller]:
    """A writer in a transaction that is rolled back, in each role."""
    database, source = ground
    with (
        database.connect(request.param) as connection,
        connection.transaction(force_rollback=True),
    ):
        yield Teller(connection, source)
