"""The database itself refuses: plain SQL, past all of the service's code, in both roles."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.errors import (
    CheckViolation,
    DataException,
    InsufficientPrivilege,
    RestrictViolation,
)
from psycopg.types.json import Jsonb
from sqlalchemy import Table

from app.embedded.server import OWNER, SERVICE, SUPERUSER, Server
from app.schema import MUTABLE, READ_ONLY, metadata
from tests.conftest import EMPTY, Database, clone

HERE, THERE = "here", "there"


def contact(**fields: object) -> Jsonb:
    """Return a list with one contact, which has a phone if nothing else is said."""
    return Jsonb([{"side": "LT", "authority": "Guard", "phone": "+37031234567"} | fields])


START = datetime(2024, 1, 1, tzinfo=UTC)
TABLES = list(metadata.tables.values())
LOG = [table for table in TABLES if table.name not in {*MUTABLE, *READ_ONLY}]

each_table = pytest.mark.parametrize("table", LOG, ids=lambda table: table.name)
each_role = pytest.mark.parametrize("role", [OWNER, SERVICE])


@dataclass
class Log:
    """A writer that knows no more than SQL: it makes valid rows, changed as a test wants."""

    connection: psycopg.Connection
    source: UUID = field(default_factory=uuid4)

    def insert(self, table: str, **values: object) -> None:
        statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
            sql.Identifier(table),
            sql.SQL(", ").join(map(sql.Identifier, values)),
            sql.SQL(", ").join([sql.Placeholder()] * len(values)),
        )
        self.connection.execute(statement, list(values.values()))

    def change(self, **fields: object) -> tuple[int, datetime]:
        """Append a change and return its number and its instant."""
        number, recorded_at = self.connection.execute(
            "SELECT coalesce(max(number), 0) + 1, clock_timestamp() FROM change"
        ).fetchone() or (0, START)
        values: dict[str, object] = {
            "number": number,
            "recorded_at": recorded_at,
            "kind": "decision",
            "subjects": Jsonb({}),
            "payload": Jsonb({"recorded_by": "sql"}),
            "hash": bytes(32),
            **fields,
        }
        self.insert("change", **values)
        return number, recorded_at

    def place(self) -> dict[str, object]:
        """Append a change and return the columns of what belongs to it."""
        number, recorded_at = self.change()
        return {"change": number, "recorded_at": recorded_at, "recorded_by": "sql"}

    def add_source(self, **fields: object) -> UUID:
        columns = {"id": uuid4(), "kind": "article", "title": "A source", **fields}
        self.insert("source", **(columns if "change" in fields else self.place() | columns))
        source = columns["id"]
        assert isinstance(source, UUID)
        return source

    def version(self, **fields: object) -> int:
        """Add details of ``HERE``, uncited, and return their change."""
        columns = {
            "crossing_id": HERE,
            "mode": "road",
            "traffic": ["car", "truck"],
            "names": Jsonb([]),
            "aliases": [],
            "confirm_within_days": 30,
            **fields,
        }
        columns = columns if "change" in fields else self.place() | columns
        self.insert("crossing_version", **columns)
        number = columns["change"]
        assert isinstance(number, int)
        return number

    def declare(self, **fields: object) -> UUID:
        """Declare ``HERE`` closed, uncited, and return the event's id."""
        return self._event(
            {
                "kind": "declaration",
                "status": "closed",
                "effective": "[2024-01-01 00:00Z,)",
                "certainty": "confirmed",
                "precision": "minute",
                "reason_code": "security",
            },
            fields,
        )

    def retract(self, target: UUID, **fields: object) -> UUID:
        kind = {"kind": "retraction", "reason_code": "other", "retracts": target}
        return self._event(kind, fields)

    def confirm(self, **fields: object) -> UUID:
        return self._event({"kind": "confirmation", "confirmed_at": START}, fields)

    def cite(self, **subject: object) -> None:
        self.insert("citation", source_id=self.source, basis="stated", **subject)

    def _event(self, kind: dict[str, object], fields: dict[str, object]) -> UUID:
        columns = {
            "id": uuid4(),
            "crossing_id": HERE,
            "decision": uuid4(),
            "sides": ["LT"],
            "exceptions": Jsonb([]),
            **kind,
            **fields,
        }
        self.insert("status_event", **(columns if "change" in fields else self.place() | columns))
        event = columns["id"]
        assert isinstance(event, UUID)
        return event


def build(log: Log) -> None:
    """Add what everything else stands on: two crossings of one border, and a source."""
    with log.connection.transaction():
        log.source = log.add_source()
        for code in ("BY", "LT", "PL"):
            log.insert("country", code=code)
        log.insert("border", first="BY", second="LT")
        for crossing in (HERE, THERE):
            log.insert("crossing", id=crossing, border_id="BY-LT")
            log.cite(crossing_id=crossing, version=log.version(crossing_id=crossing))


@pytest.fixture(scope="module")
def built(postgres: Server) -> Iterator[tuple[Database, UUID]]:
    """A database that the tests share, for none takes from it, and the source in it."""
    with clone(postgres, EMPTY) as found, found.connect() as connection:
        log = Log(connection)
        build(log)
        yield found, log.source


@pytest.fixture(params=[OWNER, SERVICE])
def log(built: tuple[Database, UUID], request: pytest.FixtureRequest) -> Iterator[Log]:
    """A writer in a transaction that is rolled back, in each role."""
    database, source = built
    with (
        database.connect(request.param) as connection,
        connection.transaction(force_rollback=True),
    ):
        yield Log(connection, source)


@contextmanager
def refused(log: Log, *constraints: str) -> Iterator[None]:
    """Check that the block is refused in the name of one of ``constraints``."""
    with pytest.raises(psycopg.Error) as raised, log.connection.transaction():
        yield
    assert raised.value.diag.constraint_name in constraints, raised.value


# Rows that are there stay as they are


def a_column(table: Table) -> sql.Identifier:
    """Return a column that an UPDATE may name."""
    return sql.Identifier(
        next(one.name for one in table.columns if not one.computed and not one.identity)
    )


def rewritings(table: Table) -> list[sql.Composed]:
    name, column = sql.Identifier(table.name), a_column(table)
    return [
        sql.SQL("UPDATE {0} SET {1} = {1}").format(name, column),
        sql.SQL("DELETE FROM {}").format(name),
        sql.SQL("TRUNCATE {}").format(name),
        sql.SQL("TRUNCATE {} CASCADE").format(name),
    ]


@each_table
def test_every_table_refuses_update_delete_and_truncate(
    built: tuple[Database, UUID], table: Table
) -> None:
    """Of the owner too, whose privileges would allow it, and of rows there or not."""
    with built[0].connect(OWNER) as connection:
        for statement in rewritings(table):
            with (
                pytest.raises((RestrictViolation, psycopg.errors.FeatureNotSupported)) as raised,
                connection.transaction(force_rollback=True),
            ):
                connection.execute(statement)
            if isinstance(raised.value, psycopg.errors.FeatureNotSupported):
                assert b"CASCADE" not in statement.as_bytes()  # others refer to the table
            else:
                assert raised.value.diag.constraint_name == "append_only"


def test_an_upsert_rewrites_nothing(log: Log) -> None:
    with pytest.raises(psycopg.Error) as raised, log.connection.transaction():
        log.connection.execute(
            "INSERT INTO country VALUES ('LT') ON CONFLICT (code) DO UPDATE SET code = 'LV'"
        )
    assert isinstance(raised.value, RestrictViolation | InsufficientPrivilege)


# The order of changes


def test_a_valid_log_is_taken(log: Log) -> None:
    """The rows that every refusal below starts from are good ones."""
    first = log.declare()
    log.cite(event_id=first)
    second = log.declare(crossing_id=THERE, expected_until="2024-02-01Z", announced_at=START)
    log.cite(event_id=second)
    log.cite(event_id=log.declare(supersedes=first, effective="[2024-01-01Z,2024-01-02Z)"))
    confirmed = log.confirm(sides=["BY", "LT"], traffic=["car"], to="BY")
    log.cite(event_id=confirmed)
    log.retract(second, crossing_id=THERE)
    log.retract(confirmed)
    log.cite(crossing_id=HERE, version=log.version(lat=54.5, lon=25.5, precision_km=1.5))
    log.add_source(sha256="0123456789abcdef" * 4)

    log.connection.execute("SET CONSTRAINTS ALL IMMEDIATE")


@pytest.mark.parametrize("step", [-1, 0, 2], ids=["before the newest", "the newest", "a gap"])
def test_a_change_number_neither_repeats_nor_leaves_a_gap(log: Log, step: int) -> None:
    newest, _ = log.change()

    with refused(log, "ck_change_follows"):
        log.change(number=newest + step)


def test_the_first_change_is_number_one(database: Database) -> None:
    with database.connect() as connection:
        log = Log(connection)
        with refused(log, "ck_change_follows"):
            log.change(number=2)
        assert log.change()[0] == 1


@pytest.mark.parametrize("minutes", [-1, 0])
def test_recorded_at_never_goes_back_or_stands_still(log: Log, minutes: int) -> None:
    _, newest = log.change()

    with refused(log, "ck_change_recorded_now"):
        log.change(recorded_at=newest + timedelta(minutes=minutes))


def test_recorded_at_never_lies_in_the_future(log: Log) -> None:
    with refused(log, "ck_change_recorded_now"):
        log.change(recorded_at=datetime.now(UTC) + timedelta(minutes=1))


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_hash_that_is_not_32_bytes_is_refused(log: Log, length: int) -> None:
    with refused(log, "ck_change_hash_is_sha256"):
        log.change(hash=bytes(length))


def test_a_row_carries_the_instant_of_its_change(log: Log) -> None:
    place = log.place() | {"recorded_at": START}

    with refused(log, "fk_status_event_change_recorded_at"):
        log.declare(**place)
    with refused(log, "fk_source_change_recorded_at"):
        log.add_source(**place)
    with refused(log, "fk_crossing_version_change_recorded_at"):
        log.version(**place)


def test_nothing_is_attached_to_an_older_change(log: Log) -> None:
    older = log.place()
    event = log.declare(**older)
    version = log.version(crossing_id=THERE, **older)
    log.place()

    with refused(log, "ck_change_is_newest"):
        log.declare(crossing_id=THERE, **older)
    with refused(log, "ck_change_is_newest"):
        log.confirm(crossing_id=THERE, **older)
    with refused(log, "ck_change_is_newest"):
        log.add_source(**older)
    with refused(log, "ck_change_is_newest"):
        log.version(**older)
    with refused(log, "ck_change_is_newest"):
        log.cite(event_id=event)
    with refused(log, "ck_change_is_newest"):
        log.cite(crossing_id=THERE, version=version)


@each_role
def test_nothing_is_attached_to_a_change_that_was_committed(
    built: tuple[Database, UUID], role: str
) -> None:
    """Not even while it is the newest: what its hash speaks for has been told to readers."""
    database, source = built
    with database.connect(role) as connection:
        log = Log(connection, source)
        with connection.transaction():
            place = log.place()
            event = log.declare(**place)
            log.cite(event_id=event)

        with refused(log, "ck_change_is_newest"):
            log.confirm(crossing_id=THERE, **place)
        with refused(log, "ck_change_is_newest"):
            log.add_source(**place)
        with refused(log, "ck_change_is_newest"):
            log.version(crossing_id=THERE, **place)
        with refused(log, "ck_change_is_newest"):
            log.cite(event_id=event)


# What an event says


@pytest.mark.parametrize(
    ("fields", "constraint"),
    [
        ({"effective": "empty"}, "ck_status_event_effective_not_empty"),
        ({"effective": "[2024-01-01Z,2024-01-01Z)"}, "ck_status_event_effective_not_empty"),
        ({"effective": "(,2024-01-01Z)"}, "ck_status_event_effective_not_empty"),
        ({"effective": "(,)"}, "ck_status_event_effective_not_empty"),
        ({"effective": "[-infinity,)"}, "ck_status_event_effective_not_empty"),
        ({"effective": "[2024-01-01Z,infinity)"}, "ck_status_event_effective_not_empty"),
        ({"effective": "(2024-01-01Z,)"}, "ck_status_event_effective_not_empty"),
        ({"effective": "[2024-01-01Z,2024-01-02Z]"}, "ck_status_event_effective_not_empty"),
        (
            {"effective": "[2024-01-01Z,2024-01-03Z)", "expected_until": "2024-01-02Z"},
            "ck_status_event_expected_until_after_start",
        ),
        ({"expected_until": "2023-12-31Z"}, "ck_status_event_expected_until_after_start"),
        ({"expected_until": "2024-01-01Z"}, "ck_status_event_expected_until_after_start"),
        ({"status": "unknown"}, "ck_status_event_status_declarable"),
        ({"status": None}, "ck_status_event_declaration_whole"),
        ({"effective": None}, "ck_status_event_declaration_whole"),
        ({"certainty": None}, "ck_status_event_declaration_whole"),
        ({"certainty": "rumoured"}, "ck_status_event_certainty_known"),
        ({"reason_code": None}, "ck_status_event_reason_given"),
        ({"confirmed_at": START}, "ck_status_event_confirmation_whole"),
        ({"announced_at": "2999-01-01Z"}, "ck_status_event_announced_in_the_past"),
    ],
)
def test_a_declaration_that_makes_no_sense_is_refused(
    log: Log, fields: dict[str, object], constraint: str
) -> None:
    with refused(log, constraint):
        log.declare(**fields)


def test_an_inverted_period_is_refused(log: Log) -> None:
    with pytest.raises(DataException), log.connection.transaction():
        log.declare(effective="[2024-01-02Z,2024-01-01Z)")


@pytest.mark.parametrize(
    ("fields", "constraint"),
    [
        ({"sides": []}, "ck_status_event_sides_not_empty"),
        ({"sides": ["PL"]}, "ck_status_event_side_of_crossing"),
        ({"sides": ["LT", "PL"]}, "ck_status_event_side_of_crossing"),
        ({"sides": ["LT", "LT"]}, "ck_status_event_side_of_crossing"),
        ({"sides": ["LT", None]}, "ck_status_event_side_of_crossing"),
        ({"to": "PL"}, "ck_status_event_to_of_crossing"),
        ({"traffic": ["bus"]}, "ck_status_event_traffic_authorised"),
        ({"traffic": ["car", "bus"]}, "ck_status_event_traffic_authorised"),
        ({"traffic": ["car", None]}, "ck_status_event_traffic_authorised"),
        ({"traffic": []}, "ck_status_event_traffic_not_empty"),
    ],
)
def test_sides_traffic_and_direction_are_the_crossings_own(
    log: Log, fields: dict[str, object], constraint: str
) -> None:
    with refused(log, constraint):
        log.declare(**fields)
    with refused(log, constraint):
        log.confirm(**fields)


def test_traffic_is_what_the_newest_details_authorise(log: Log) -> None:
    log.version(traffic=["bus"])

    log.declare(traffic=["bus"])
    with refused(log, "ck_status_event_traffic_authorised"):
        log.declare(traffic=["car"])


@pytest.mark.parametrize(
    ("fields", "constraint"),
    [
        ({"confirmed_at": None}, "ck_status_event_confirmation_whole"),
        ({"confirmed_at": "2999-01-01Z"}, "ck_status_event_confirmed_in_the_past"),
        ({"reason_code": "other"}, "ck_status_event_reason_given"),
        ({"status": "open"}, "ck_status_event_declaration_whole"),
        ({"announced_at": START}, "ck_status_event_declaration_whole"),
    ],
)
def test_a_confirmation_is_no_more_than_that(
    log: Log, fields: dict[str, object], constraint: str
) -> None:
    with refused(log, constraint):
        log.confirm(**fields)


def test_a_retraction_needs_a_target_and_a_reason_and_has_no_status(log: Log) -> None:
    target = log.declare()

    with refused(log, "ck_status_event_retraction_whole"):
        log.retract(target, retracts=None)
    with refused(log, "ck_status_event_reason_given"):
        log.retract(target, reason_code=None)
    with refused(log, "ck_status_event_declaration_whole"):
        log.retract(target, status="open")


def test_an_event_is_of_a_crossing_that_exists(log: Log) -> None:
    with refused(log, "fk_status_event_crossing_id"):
        log.declare(crossing_id="nowhere")


def test_a_change_says_one_thing_of_a_crossing(log: Log) -> None:
    place = log.place()
    log.declare(**place)
    log.declare(crossing_id=THERE, **place)

    with refused(log, "uq_status_event_change_crossing_id"):
        log.declare(sides=["BY"], **place)


def test_a_change_confirms_a_crossing_once_for_the_same_sides_and_lanes(log: Log) -> None:
    place = log.place()
    log.confirm(**place)
    log.confirm(traffic=["car"], **place)

    with refused(log, "uq_status_event_confirmation"):
        log.confirm(**place)


# Retired crossings


@pytest.mark.parametrize("kind", ["declaration", "correction", "confirmation", "retraction"])
def test_nothing_more_is_said_of_a_retired_crossing(log: Log, kind: str) -> None:
    target = log.declare()
    log.version(retired_at=START)

    with refused(log, "ck_status_event_crossing_in_use"):
        match kind:
            case "declaration":
                log.declare()
            case "correction":
                log.declare(supersedes=target)
            case "confirmation":
                log.confirm()
            case _:
                log.retract(target)
    log.declare(crossing_id=THERE)
    log.version()
    log.retract(target)


def test_a_successor_is_in_use_when_it_is_named(log: Log) -> None:
    """It may be retired later, and what named it be revised in other ways."""
    log.version(retired_at=START, replaced_by=THERE)
    with refused(log, "ck_crossing_version_successor_in_use"):
        log.version(crossing_id=THERE, retired_at=START, replaced_by=HERE)
    log.version(crossing_id=THERE, retired_at=START)

    log.version(retired_at=START, replaced_by=THERE, confirm_within_days=7)
    log.version(retired_at=START)
    with refused(log, "ck_crossing_version_successor_in_use"):
        log.version(retired_at=START, replaced_by=THERE)


# Corrections and withdrawals


def test_two_events_cannot_supersede_one(log: Log) -> None:
    target = log.declare()
    log.declare(supersedes=target)

    with refused(log, "ck_status_event_target_standing", "uq_status_event_supersedes"):
        log.declare(supersedes=target)


def test_an_event_is_retracted_once(log: Log) -> None:
    target = log.declare()
    log.retract(target)

    with refused(log, "ck_status_event_target_standing", "uq_status_event_retracts"):
        log.retract(target)


def test_forks_are_refused_by_the_keys_alone(built: tuple[Database, UUID]) -> None:
    """Should the triggers ever miss one: two at once, each of which cannot see the other."""
    database, source = built
    with database.connect() as connection, connection.transaction(force_rollback=True):
        connection.execute("ALTER TABLE status_event DISABLE TRIGGER guard")
        log = Log(connection, source)
        corrected, withdrawn = log.declare(), log.declare()
        log.declare(supersedes=corrected)
        log.retract(withdrawn)

        with refused(log, "uq_status_event_supersedes"):
            log.declare(supersedes=corrected)
        with refused(log, "uq_status_event_retracts"):
            log.retract(withdrawn)


def test_what_is_corrected_or_withdrawn_is_of_the_same_crossing(log: Log) -> None:
    target = log.declare()

    with refused(log, "fk_status_event_supersedes_crossing_id"):
        log.declare(crossing_id=THERE, supersedes=target)
    with refused(log, "fk_status_event_retracts_crossing_id"):
        log.retract(target, crossing_id=THERE)


def test_what_is_corrected_or_withdrawn_exists(log: Log) -> None:
    itself = uuid4()

    with refused(log, "fk_status_event_supersedes_crossing_id"):
        log.declare(supersedes=uuid4())
    with refused(log, "fk_status_event_retracts_crossing_id"):
        log.retract(uuid4())
    with refused(log, "ck_status_event_not_about_itself"):
        log.declare(id=itself, supersedes=itself)
    with refused(log, "ck_status_event_not_about_itself"):
        log.retract(itself, id=itself)


@pytest.mark.parametrize("certainty", ["confirmed", "reported"])
def test_a_rumour_does_not_supersede_what_is_firmer(log: Log, certainty: str) -> None:
    target, rumour = log.declare(certainty=certainty), log.declare(certainty="unconfirmed")

    with refused(log, "ck_status_event_supersedes_no_firmer"):
        log.declare(certainty="unconfirmed", supersedes=target)
    log.declare(certainty="unconfirmed", supersedes=rumour)
    log.declare(certainty="reported", supersedes=target)


def test_what_was_retracted_is_not_superseded(log: Log) -> None:
    target = log.declare()
    log.retract(target)

    with refused(log, "ck_status_event_target_standing"):
        log.declare(supersedes=target)


def test_what_was_superseded_is_not_retracted(log: Log) -> None:
    target = log.declare()
    log.declare(supersedes=target)

    with refused(log, "ck_status_event_target_standing"):
        log.retract(target)


def test_a_correction_is_corrected_again_or_retracted(log: Log) -> None:
    first = log.declare()
    correction = log.declare(supersedes=first)
    again = log.declare(supersedes=correction)
    log.retract(again)

    with refused(log, "ck_status_event_target_standing"):
        log.retract(first)
    with refused(log, "ck_status_event_target_standing"):
        log.declare(supersedes=first)


def test_a_retraction_is_neither_retracted_nor_superseded(log: Log) -> None:
    retraction = log.retract(log.declare())

    with refused(log, "ck_status_event_retracts_no_retraction"):
        log.retract(retraction)
    with refused(log, "ck_status_event_supersedes_declaration"):
        log.declare(supersedes=retraction)


def test_a_confirmation_is_retracted_and_not_superseded(log: Log) -> None:
    confirmation = log.confirm()

    with refused(log, "ck_status_event_supersedes_declaration"):
        log.declare(supersedes=confirmation)
    log.retract(confirmation)


# Citations


@each_role
@pytest.mark.parametrize("kind", ["declare", "confirm", "version"])
def test_what_cites_nothing_is_refused_at_commit_and_not_before(
    built: tuple[Database, UUID], role: str, kind: str
) -> None:
    database, source = built
    with database.connect(role) as connection:
        log = Log(connection, source)
        before = counts(connection)
        reached_the_commit = False

        with refused(log, "ck_citation_required"):
            {"declare": log.declare, "confirm": log.confirm, "version": log.version}[kind]()
            reached_the_commit = True

        assert reached_the_commit
        assert counts(connection) == before


@each_role
def test_what_is_cited_in_its_own_transaction_is_taken(
    built: tuple[Database, UUID], role: str
) -> None:
    database, source = built
    with database.connect(role) as connection:
        log = Log(connection, source)
        before = counts(connection)["citation"]
        for event in (log.declare, log.confirm):
            with connection.transaction():
                log.cite(event_id=event())
        with connection.transaction():
            log.cite(crossing_id=HERE, version=log.version())

        assert counts(connection)["citation"] == before + 3


@each_role
def test_a_retraction_needs_no_citation(built: tuple[Database, UUID], role: str) -> None:
    database, source = built
    with database.connect(role) as connection:
        log = Log(connection, source)
        with connection.transaction():
            target = log.declare()
            log.cite(event_id=target)

        before = counts(connection)["status_event"]
        with connection.transaction():
            log.retract(target)

        assert counts(connection)["status_event"] == before + 1


def test_a_citation_has_one_subject_and_a_source(log: Log) -> None:
    event, version = log.declare(), log.version()

    with refused(log, "ck_citation_one_subject"):
        log.cite()
    with refused(log, "ck_citation_one_subject"):
        log.cite(event_id=event, crossing_id=HERE, version=version)
    with refused(log, "ck_citation_version_whole"):
        log.cite(crossing_id=HERE)
    with refused(log, "fk_citation_source_id"):
        log.insert("citation", source_id=uuid4(), basis="stated", event_id=log.declare())
    with refused(log, "fk_citation_event_id"):
        log.cite(event_id=uuid4())


# Places, sources, keys


@pytest.mark.parametrize(("first", "second"), [("PL", "BY"), ("LT", "LT")])
def test_a_border_is_alphabetical_and_between_two(log: Log, first: str, second: str) -> None:
    with refused(log, "ck_border_alphabetical"):
        log.insert("border", first=first, second=second)


def test_a_border_is_between_countries_that_exist(log: Log) -> None:
    with refused(log, "fk_border_second"):
        log.insert("border", first="BY", second="UA")


@pytest.mark.parametrize("code", ["lt", "LTU", "L", "", "L1"])
def test_a_country_is_two_capitals(log: Log, code: str) -> None:
    with refused(log, "ck_country_code_is_alpha2"):
        log.insert("country", code=code)


@pytest.mark.parametrize(
    "crossing", ["Here", "šumskas", "a b", "a_b", "a--b", "-a", "a-", "", "a\n", "a/b"]
)
def test_a_crossings_id_is_a_slug(log: Log, crossing: str) -> None:
    with refused(log, "ck_crossing_id_is_slug"):
        log.insert("crossing", id=crossing, border_id="BY-LT")


@pytest.mark.parametrize(
    ("fields", "constraint"),
    [
        ({"traffic": []}, "ck_crossing_version_has_traffic"),
        ({"mode": "rail"}, "ck_crossing_version_traffic_of_mode"),
        ({"mode": "rail", "traffic": ["train", "car"]}, "ck_crossing_version_traffic_of_mode"),
        ({"traffic": ["car", "train"]}, "ck_crossing_version_traffic_of_mode"),
        ({"mode": "air", "traffic": ["train"]}, "ck_crossing_version_traffic_of_mode"),
        ({"confirm_within_days": 0}, "ck_crossing_version_confirm_within_positive"),
        ({"confirm_within_hours": 0}, "ck_crossing_version_confirm_within_hours_positive"),
        ({"contacts": Jsonb({})}, "ck_crossing_version_contacts_listed"),
        ({"contacts": contact(side=None)}, "ck_crossing_version_contacts_reachable"),
        ({"contacts": contact(authority=" ")}, "ck_crossing_version_contacts_reachable"),
        ({"contacts": contact(phone=None)}, "ck_crossing_version_contacts_reachable"),
        ({"contacts": contact(phone="112")}, "ck_crossing_version_contacts_phones"),
        ({"contacts": contact(phone=37031234567)}, "ck_crossing_version_contacts_phones"),
        ({"retired_at": "2999-01-01Z"}, "ck_crossing_version_retired_in_the_past"),
        ({"retired_at": "-infinity"}, "ck_crossing_version_retired_in_the_past"),
        ({"replaced_by": THERE}, "ck_crossing_version_only_retired_replaced"),
        ({"retired_at": START, "replaced_by": HERE}, "ck_crossing_version_replaced_by_another"),
        ({"retired_at": START, "replaced_by": "nowhere"}, "fk_crossing_version_replaced_by"),
        ({"lat": 54.5}, "ck_crossing_version_location_whole"),
        ({"lat": 90.5, "lon": 25, "precision_km": 1}, "ck_crossing_version_lat_in_range"),
        ({"lat": 54.5, "lon": -181, "precision_km": 1}, "ck_crossing_version_lon_in_range"),
        ({"lat": 54.5, "lon": 25, "precision_km": 0}, "ck_crossing_version_precision_positive"),
        ({"crossing_id": "nowhere"}, "fk_crossing_version_crossing_id"),
    ],
)
def test_details_that_make_no_sense_are_refused(
    log: Log, fields: dict[str, object], constraint: str
) -> None:
    with refused(log, constraint):
        log.version(**fields)


@pytest.mark.parametrize("digest", ["", "0" * 63, "0" * 65, "g" * 64, "A" * 64, "0" * 64 + "\n"])
def test_a_source_hash_that_is_not_hex_is_refused(log: Log, digest: str) -> None:
    with refused(log, "ck_source_sha256_is_hex"):
        log.add_source(sha256=digest)


def add_key(log: Log, **fields: object) -> None:
    columns = {"id": "key", "name": "k", "secret_hash": bytes(32), "scopes": ["admin"], **fields}
    log.insert("api_key", **columns)


@pytest.mark.parametrize(
    ("fields", "constraint"),
    [
        ({"secret_hash": b"the secret itself"}, "ck_api_key_hash_is_sha256"),
        ({"scopes": []}, "ck_api_key_has_scope"),
        ({"sides": []}, "ck_api_key_sides_not_empty"),
        ({"expires_at": "2020-01-01Z"}, "ck_api_key_expires_later"),
    ],
)
def test_a_key_that_makes_no_sense_is_refused(
    log: Log, fields: dict[str, object], constraint: str
) -> None:
    with refused(log, constraint):
        add_key(log, **fields)


@pytest.mark.parametrize("status", [0, 199, 300, 404, 500])
def test_an_answer_that_is_no_success_is_not_kept(log: Log, status: int) -> None:
    add_key(log)
    answer = {"key_id": "key", "idempotency_key": "k", "request_hash": bytes(32), "body": b""}

    with refused(log, "ck_kept_answer_only_success"):
        log.insert("kept_answer", status=status, **answer)
    log.insert("kept_answer", status=201, **answer)
    with refused(log, "pk_kept_answer"):
        log.insert("kept_answer", status=201, **answer)


def test_an_answer_is_kept_without_its_secret_or_encrypted(log: Log) -> None:
    add_key(log)
    names = {"key_id": "key", "idempotency_key": "k"}
    answer = {**names, "request_hash": bytes(32), "status": 201}

    with refused(log, "ck_kept_answer_without_secret"):
        log.insert("kept_answer", **answer, body=b'{"id":1,"secret":"whsec_x"}')
    with refused(log, "fk_secret_answer_key_id_idempotency_key"):
        log.insert("secret_answer", **names, body="gAAAAA")
    log.insert("kept_answer", **answer, body=b'{"text":"\\"secret\\":\\"x","secret":null}')
    with refused(log, "ck_secret_answer_body_encrypted"):
        log.insert("secret_answer", **names, body='{"secret":"whsec_x"}')


def test_two_keys_of_one_name_are_refused(log: Log) -> None:
    add_key(log)

    with refused(log, "uq_api_key_name"):
        add_key(log, id="another")


# The service's own role cannot do what the owner can


@pytest.fixture
def disarmed(built: tuple[Database, UUID]) -> Iterator[psycopg.Connection]:
    """The service's role in a database without a single trigger, until the end of the test."""
    with (
        built[0].connect(SUPERUSER) as connection,
        connection.transaction(force_rollback=True),
    ):
        for table in TABLES:
            name = sql.Identifier(table.name)
            connection.execute(sql.SQL("ALTER TABLE {} DISABLE TRIGGER ALL").format(name))
        connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(SERVICE)))
        yield connection


@each_table
def test_the_service_may_not_rewrite_even_where_no_trigger_refuses(
    disarmed: psycopg.Connection, table: Table
) -> None:
    for statement in rewritings(table):
        with pytest.raises(InsufficientPrivilege), disarmed.transaction():
            disarmed.execute(statement)


def test_the_service_may_read_and_append_and_nothing_else(built: tuple[Database, UUID]) -> None:
    privileges = """
        SELECT table_name, array_agg(privilege_type::text ORDER BY privilege_type)
        FROM information_schema.role_table_grants
        WHERE grantee IN (%s, 'PUBLIC') AND table_schema = 'public'
        GROUP BY table_name
    """
    with built[0].connect() as connection:
        granted: dict[str, list[str]] = dict(connection.execute(privileges, [SERVICE]).fetchall())

    assert granted == {
        **{name: ["SELECT"] for name in READ_ONLY},
        **{table.name: ["INSERT", "SELECT"] for table in LOG},
        **{
            name: sorted({"INSERT", "SELECT", *rights.split(", ")})
            for name, rights in MUTABLE.items()
        },
    }


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE extra (id int)",
        "CREATE SCHEMA extra",
        "CREATE FUNCTION extra() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS ''",
        "DROP FUNCTION guard_event() CASCADE",
        "CREATE INDEX extra ON change (kind)",
        "ALTER TABLE change ADD COLUMN extra int",
        "ALTER TABLE change DROP CONSTRAINT ck_change_hash_is_sha256",
        "ALTER TABLE change DISABLE TRIGGER append_only",
        "ALTER TABLE change DISABLE TRIGGER ALL",
        "ALTER TABLE change OWNER TO CURRENT_USER",
        "DROP TRIGGER append_only ON change",
        "CREATE TRIGGER extra BEFORE INSERT ON change FOR EACH ROW EXECUTE FUNCTION guard_event()",
        "DROP TABLE change CASCADE",
        "DROP SCHEMA public CASCADE",
        f"GRANT UPDATE ON change TO {SERVICE}",
        f"SET ROLE {OWNER}",
        "SET session_replication_role = replica",
        "INSERT INTO alembic_version VALUES ('extra')",
        "UPDATE alembic_version SET version_num = 'extra'",
        "DELETE FROM alembic_version",
        "TRUNCATE alembic_version",
        "DROP TABLE alembic_version",
    ],
)
def test_the_service_may_not_touch_the_schema(built: tuple[Database, UUID], statement: str) -> None:
    with built[0].connect(SERVICE) as connection:
        before = connection.execute("TABLE alembic_version").fetchall()
        try:
            connection.execute(statement.encode())
        except InsufficientPrivilege:
            pass
        else:
            # PostgreSQL warns of a grant that cannot be made, and makes none.
            assert statement.startswith("GRANT"), "it was done"
        assert connection.execute("TABLE alembic_version").fetchall() == before


def test_not_even_the_owner_may_switch_all_triggers_off(built: tuple[Database, UUID]) -> None:
    with built[0].connect(OWNER) as connection, pytest.raises(InsufficientPrivilege):
        connection.execute("SET session_replication_role = replica")


def test_a_temporary_table_does_not_deceive_the_guards(built: tuple[Database, UUID]) -> None:
    """A table of the same name, found first, is not what the triggers look at."""
    database, source = built
    with database.connect(SERVICE) as connection:
        log, before = Log(connection, source), counts(connection)

        with pytest.raises((CheckViolation, InsufficientPrivilege)), connection.transaction():
            declare_as_cited_in_a_temporary_table(log)

        assert counts(connection) == before


def declare_as_cited_in_a_temporary_table(log: Log) -> None:
    log.connection.execute("CREATE TEMPORARY TABLE citation (event_id uuid) ON COMMIT DROP")
    log.connection.execute("INSERT INTO pg_temp.citation VALUES (%s)", [log.declare()])


def counts(connection: psycopg.Connection) -> dict[str, int]:
    """Return how many rows each table has."""
    found = {}
    for table in TABLES:
        name = sql.Identifier("public", table.name)
        (rows,) = connection.execute(
            sql.SQL("SELECT count(*) FROM {}").format(name)
        ).fetchone() or (0,)
        found[table.name] = rows
    return found
