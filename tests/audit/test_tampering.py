"""Whatever the owner of the database edits, deletes, swaps or cuts off, `crossings check` tells.

The owner can take away every constraint and trigger, and does so here. Each act is rolled back, so
that the next one begins with an intact log.
"""

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import (
    Column,
    ColumnElement,
    Table,
    Text,
    cast,
    delete,
    func,
    literal_column,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from app.audit.service import find_faults
from app.changes.checkpoints import Checkpoint, missing_of, newest_checkpoint
from app.changes.models import Change
from app.database.connections import Connector
from app.database.sessions import create_engine, create_sessions
from app.embedded.server import Server
from app.schema import metadata
from tests.conftest import SEEDED, clone
from tests.faults.writes import WRITES, is_done, send
from tests.marks import full, in_full

LOG = [
    metadata.tables[name]
    for name in (
        "change", "status_event", "event_series", "citation", "source", "crossing",
        "crossing_version", "border", "country", "notice", "incident", "retraction",
    )
]  # fmt: skip
"""The tables whose rows are the log, or follow from it."""

UNTOLD = {("change", "written_in"), ("citation", "id")}
"""Bookkeeping: a transaction's number, and a number of which only the order counts."""

row_id: ColumnElement[str] = literal_column("ctid::text", Text)
STRIP = f"""
    DO $$ DECLARE
        log regclass[] := '{{seed_record,{",".join(table.name for table in LOG)}}}';
        place regclass;
        name text;
    BEGIN
        ALTER TABLE citation ALTER id DROP IDENTITY;
        FOR place, name IN
            SELECT conrelid::regclass, conname FROM pg_constraint
            WHERE conrelid = ANY (log) AND contype <> 't' ORDER BY contype = 'n'
        LOOP EXECUTE format('ALTER TABLE %s DROP CONSTRAINT IF EXISTS %I CASCADE', place, name);
        END LOOP;
        FOR place IN SELECT indexrelid FROM pg_index WHERE indrelid = ANY (log) AND indisunique
        LOOP EXECUTE format('DROP INDEX %s', place); END LOOP;
        FOREACH place IN ARRAY log
        LOOP EXECUTE format('ALTER TABLE %s DISABLE TRIGGER USER', place); END LOOP;
    END $$
"""  # noqa: S608 -- the names are our own


@dataclass(frozen=True)
class Stripped:
    """A log of every kind of change whose database no longer refuses anything."""

    engine: AsyncEngine
    checkpoint: Checkpoint


@pytest.fixture(scope="module")
async def stripped(postgres: Server) -> AsyncIterator[Stripped]:
    with clone(postgres, SEEDED) as database:
        async with database.api() as api:
            for number, prepare in enumerate(WRITES):
                write = await prepare(api, f"write-{number}")
                assert is_done(write, await send(api, write))
        engine = create_engine(Connector(database.owner_url))
        try:
            async with create_sessions(engine).begin() as session:
                checkpoint = await newest_checkpoint(session, None)
                await session.execute(text(STRIP))
            yield Stripped(engine, checkpoint)
        finally:
            await engine.dispose()


@dataclass(frozen=True)
class Owner:
    """Somebody who may do everything to the rows of the log."""

    session: AsyncSession
    dice: random.Random

    async def do(self, acts: str) -> str:
        """Act until the log is no longer what it was, and tell what was done."""
        before = await self._state()
        while True:
            act = await ACTS[acts](self)
            if await self._state() != before:
                return act
            await self.session.rollback()

    async def edit(self) -> str:
        """Give one value of one row another one."""
        table, column = self._column()
        row, value = self.dice.choice(await self._values(table, column))
        others = [other for _, other in await self._values(table, column) if other != value]
        new = self._another(value, others)
        await self._set(table, column, row, new)
        return f"{column} of {row}: {value!r} became {new!r}"

    async def delete(self) -> str:
        """Delete one row."""
        table = self.dice.choice(LOG)
        rows = (
            await self.session.scalars(select(row_id).select_from(table).order_by(row_id))
        ).all()
        row = self.dice.choice(rows)
        await self.session.execute(delete(table).where(row_id == row))
        return f"{table} lost {row}"

    async def swap(self) -> str:
        """Swap a value between two rows."""
        while True:
            table, column = self._column()
            values = await self._values(table, column)
            row, value = self.dice.choice(values)
            others = [one for one in values if one[1] != value]
            if others:
                break
        other, its_value = self.dice.choice(others)
        await self._set(table, column, row, its_value)
        # An update gives a row another place.
        await self._set(table, column, other, value)
        return f"{column} of {row} and {other}: {value!r} and {its_value!r} were swapped"

    async def cut(self) -> str:
        """Take all changes from one to another, and all that they brought."""
        numbers = await self.session.scalar(select(func.max(Change.number))) or 0
        first = self.dice.randint(1, numbers)
        last = self.dice.choice([numbers, self.dice.randint(first, numbers)])
        for table in LOG:
            if "change" in table.c:
                await self.session.execute(delete(table).where(table.c.change.between(first, last)))
        await self.session.execute(
            delete(metadata.tables["change"]).where(Change.number.between(first, last))
        )
        for statement in TIDY:
            await self.session.execute(text(statement))
        return f"changes {first} to {last} of {numbers} were cut out"

    async def _state(self) -> list[list[str]]:
        """Return what each table holds, whatever the order of its rows, and of its traffic."""
        rows = [
            select(
                cast(
                    func.row(
                        *(
                            func.array_sort(column) if column.name == "traffic" else column
                            for column in _told_columns(table)
                        )
                    ),
                    Text,
                )
            )
            for table in LOG
        ]
        return [sorted(await self.session.scalars(one)) for one in rows]

    def _column(self) -> tuple[Table, Column[object]]:
        table = self.dice.choice(LOG)
        return table, self.dice.choice(
            [one for one in _told_columns(table) if one.computed is None]
        )

    async def _values(self, table: Table, column: Column[object]) -> list[tuple[str, object]]:
        rows = await self.session.execute(
            select(row_id, column).select_from(table).order_by(row_id)
        )
        return [(row, value) for row, value in rows]

    async def _set(self, table: Table, column: Column[object], row: str, value: object) -> None:
        done = await self.session.execute(
            update(table).where(row_id == row).values({column.name: value}).returning(row_id)
        )
        assert len(done.all()) == 1

    def _another(self, value: object, others: Sequence[object]) -> object:
        """Return another value for a column that has this one, and elsewhere others."""
        candidates = [self.dice.choice(others)] if others else []
        candidates += [new for new in self._variants(value) if new != value]
        return self.dice.choice(candidates or [None])

    def _variants(self, value: object) -> Sequence[object]:
        match value:
            case list():
                return [[*value, *value[:1]], value[1:], value[::-1], self._in_one(value)]
            case dict():
                name = self.dice.choice(sorted(value)) if value else "more"
                fewer = {key: one for key, one in value.items() if key != name}
                another = self._another(value.get(name), [])
                return [fewer, {**value, "more": 1}, {**fewer, name: another}]
            case _:
                return _simple_variants(value)

    def _in_one(self, value: list[object]) -> list[object]:
        if not value:
            return ["more"]
        place = self.dice.randrange(len(value))
        return [*value[:place], self._another(value[place], []), *value[place + 1 :]]


def _simple_variants(value: object) -> Sequence[object]:  # noqa: PLR0911 -- one for each type
    match value:
        case bool():
            return [not value]
        case str():
            return [f"{value}x", value.swapcase(), value[1:], None]
        case int():
            return [value + 1, value - 1, value + 1_000_000, None]
        case float():
            return [value + 0.001, -value]
        case datetime():
            return [value + timedelta(microseconds=1), value - timedelta(days=400), None]
        case UUID():
            return [UUID(int=value.int ^ 1), None]
        case bytes():
            return [bytes([value[0] ^ 1]) + value[1:], value[:-1]]
        case Range():
            return [
                Range(value.lower and value.lower + timedelta(seconds=1), value.upper),
                Range(value.lower, value.upper and value.upper - timedelta(seconds=1)),
                Range(value.lower, None),
            ]
        case _:
            return []


TIDY = (
    """DELETE FROM citation
       WHERE event_id IS NOT NULL AND event_id NOT IN (SELECT id FROM status_event)
          OR notice_id IS NOT NULL AND notice_id NOT IN (SELECT id FROM notice)
          OR incident_id IS NOT NULL AND incident_id NOT IN (SELECT id FROM incident)
          OR retraction_id IS NOT NULL AND retraction_id NOT IN (SELECT id FROM retraction)
          OR version IS NOT NULL AND version NOT IN (SELECT change FROM crossing_version)""",
    "DELETE FROM crossing WHERE id NOT IN (SELECT crossing_id FROM crossing_version)",
    "DELETE FROM border WHERE id NOT IN (SELECT border_id FROM crossing)",
    "DELETE FROM seed_record WHERE change NOT IN (SELECT number FROM change)",
)
"""What whoever cuts the log takes away, too, so that no row shows it."""


def _told_columns(table: Table) -> list[Column[object]]:
    return [column for column in table.c if (table.name, column.name) not in UNTOLD]


Act = Callable[[Owner], Awaitable[str]]
ACTS: dict[str, Act] = {
    "edits": Owner.edit,
    "deletions": Owner.delete,
    "swaps": Owner.swap,
    "cuts": Owner.cut,
}


@full
@pytest.mark.parametrize(
    "seeds",
    [range(15), *in_full(*(range(first, first + 25) for first in range(15, 265, 25)))],
    ids=lambda seeds: f"{seeds.start}-{seeds.stop}",
)
@pytest.mark.parametrize("acts", ACTS)
async def test_every_act_is_told(
    stripped: Stripped, acts: str, seeds: range, record_property: Callable[[str, object], None]
) -> None:
    untold = []
    for seed in seeds:
        async with create_sessions(stripped.engine)() as session:
            act = await Owner(session, random.Random(f"{acts} {seed}")).do(acts)  # noqa: S311
            faults = [fault async for fault in find_faults(session)]
            missing = await missing_of(session, stripped.checkpoint)
            await session.rollback()
        if not faults and not missing:
            untold.append(f"{seed}: {act}")

    assert untold == []
    record_property("alterations", len(seeds))


@full
async def test_instants_that_are_taken_away_are_told(stripped: Stripped) -> None:
    """Of references that have two columns, one with a missing value refers to nothing."""
    tables = [table for table in LOG if "recorded_at" in table.c]
    async with create_sessions(stripped.engine)() as session:
        for table in tables:
            one = select(func.min(row_id)).select_from(table).scalar_subquery()
            await session.execute(update(table).where(row_id == one).values(recorded_at=None))
        faults = {fault async for fault in find_faults(session)}
        await session.rollback()

    assert {f"1 rows of {table.name} lack a required value" for table in tables} <= faults


async def test_what_nobody_altered_is_intact(stripped: Stripped) -> None:
    async with create_sessions(stripped.engine)() as session:
        assert [fault async for fault in find_faults(session)] == []
        assert await missing_of(session, stripped.checkpoint) is None
