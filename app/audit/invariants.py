"""Invariants of the tables that the payloads of changes do not contain.

The database enforces them, too, but its owner can drop a constraint for a while.
"""

from collections.abc import AsyncIterator, Iterator

from sqlalchemy import (
    CheckConstraint,
    ForeignKeyConstraint,
    Select,
    and_,
    exists,
    func,
    or_,
    select,
    text,
    true,
)
from sqlalchemy.ext.asyncio import AsyncSession

from app.changes.models import Change
from app.schema import metadata
from app.vocabulary import Traffic

_MAX_ROWS = 20
"""How many violations of each invariant are reported."""

# The values that the trigger `place_event` sets.
_SAID_AT = """
    WITH RECURSIVE said AS (
        SELECT id, least(announced_at, recorded_at) AS said_at, id AS said_as
        FROM status_event
        WHERE kind = 'declaration' AND (supersedes IS NULL OR announced_at IS NOT NULL)
        UNION ALL
        SELECT later.id, said.said_at, said.said_as
        FROM said JOIN status_event later ON later.supersedes = said.id
        WHERE later.announced_at IS NULL
    )
    SELECT event.change FROM status_event event LEFT JOIN said ON said.id = event.id
    WHERE (event.said_at, event.said_as) IS DISTINCT FROM (said.said_at, said.said_as)
"""
_SERIES = """
    SELECT event.change FROM status_event event
    WHERE (kind = 'retraction') <> (series_id IS NULL)
       OR kind <> 'retraction' AND NOT EXISTS (
           SELECT FROM event_series series
           WHERE series.id = event.series_id AND series = series_of(event)
       )
"""
_UNRECORDED_CROSSINGS = """
    SELECT id FROM crossing
    WHERE NOT EXISTS (SELECT FROM crossing_version WHERE crossing_id = crossing.id)
"""
_UNRECORDED_BORDERS = """
    SELECT id FROM border WHERE NOT EXISTS (SELECT FROM crossing WHERE border_id = border.id)
"""
_UNRECORDED_COUNTRIES = """
    SELECT code FROM country
    EXCEPT (SELECT first FROM border UNION SELECT second FROM border
            UNION SELECT unnest(countries) FROM notice UNION SELECT issuer_country FROM notice)
"""
_MISSING_COUNTRIES = """
    SELECT unnest(countries) FROM notice EXCEPT SELECT code FROM country
"""
# Reading sorts the traffic and removes duplicates, so the comparison of rows would miss this.
_TRAFFIC = f"""
    SELECT change FROM crossing_version
    WHERE cardinality(traffic) <> (SELECT count(DISTINCT category) FROM unnest(traffic) category
                                   WHERE category = ANY ('{{{",".join(Traffic)}}}'))
"""  # noqa: S608 -- the values are our own
_STATEMENTS = {
    _SAID_AT: "the order of an event of change {} was altered",
    _SERIES: "the series of an event of change {} was altered",
    _TRAFFIC: "the traffic of a crossing was altered in the version of change {}",
    _UNRECORDED_CROSSINGS: "no change tells of the crossing {}",
    _UNRECORDED_BORDERS: "no change tells of the border {}",
    _UNRECORDED_COUNTRIES: "no change tells of the country {}",
    _MISSING_COUNTRIES: "the country {} is missing",
}


async def broken_invariants(session: AsyncSession) -> AsyncIterator[str]:
    """Yield a sentence for each violation of a constraint, and for rows without a change."""
    for sentence, statement in [*_required(), *_checks(), *_references(), *_reporters()]:
        for row in await session.execute(statement.limit(_MAX_ROWS)):
            yield sentence.format(", ".join(map(str, row)))
    for statement_text, sentence in _STATEMENTS.items():
        for (value,) in await session.execute(
            text(f"{statement_text} ORDER BY 1 LIMIT {_MAX_ROWS}")
        ):
            yield sentence.format(value)


def _required() -> Iterator[tuple[str, Select[*tuple[object, ...]]]]:
    """Yield a statement for each table that counts the rows without a required value.

    Other checks would miss them, since SQL treats a check on NULL as passed.
    """
    for table in metadata.sorted_tables:
        is_incomplete = or_(*(column.is_(None) for column in table.c if not column.nullable))
        rows = select(func.count()).select_from(table).where(is_incomplete)
        yield f"{{}} rows of {table.name} lack a required value", rows.having(func.count() > 0)


def _checks() -> Iterator[tuple[str, Select[*tuple[object, ...]]]]:
    """Yield a statement for each check constraint that counts the rows that violate it, if any."""
    for table in metadata.sorted_tables:
        for check in sorted(table.constraints, key=lambda constraint: str(constraint.name)):
            # A constraint that is NOT VALID may be violated by older rows.
            if isinstance(check, CheckConstraint) and not check.dialect_kwargs.get(
                "postgresql_not_valid"
            ):
                violations = (
                    select(func.count())
                    .select_from(table)
                    .where(~func.coalesce(check.sqltext, true()))
                )
                yield (
                    f"{{}} rows of {table.name} break {check.name}",
                    violations.having(func.count() > 0),
                )


def _references() -> Iterator[tuple[str, Select[*tuple[object, ...]]]]:
    """Yield a statement for each foreign key that returns the values without a target."""
    for table in metadata.sorted_tables:
        for key in sorted(
            table.foreign_key_constraints, key=lambda constraint: str(constraint.name)
        ):
            yield _sentence(key), _dangling(key)


def _sentence(key: ForeignKeyConstraint) -> str:
    columns = ", ".join(key.column_keys)
    return f"{key.table.name} has a {columns} that {key.referred_table.name} lacks: {{}}"


def _dangling(key: ForeignKeyConstraint) -> Select[*tuple[object, ...]]:
    target = key.referred_table.alias("target")
    pairs = [(element.parent, target.c[element.column.key]) for element in key.elements]
    columns = [column for column, _ in pairs]
    target_exists = exists().where(
        and_(*(column == target_column for column, target_column in pairs))
    )
    is_set = and_(*(column.is_not(None) for column in columns))
    return select(*columns).distinct().where(is_set, ~target_exists)


def _reporters() -> Iterator[tuple[str, Select[*tuple[object, ...]]]]:
    for table in metadata.sorted_tables:
        if {"change", "recorded_by"} <= set(table.c.keys()):
            differs = table.c.recorded_by != Change.recorded_by
            rows = select(Change.number).join(table, table.c.change == Change.number)
            yield f"{table.name} names another recorder than change {{}}", rows.where(differs)
