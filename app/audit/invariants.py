"""What must hold between rows although no change tells of it.

The database sees to it, too; but its owner may take a constraint away, and put it back.
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

_SHOWN = 20
"""Rows at most that are told of each invariant."""

# As the trigger `place_event` sets them.
_SAID = """
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
_UNTOLD_CROSSINGS = """
    SELECT id FROM crossing
    WHERE NOT EXISTS (SELECT FROM crossing_version WHERE crossing_id = crossing.id)
"""
_UNTOLD_BORDERS = """
    SELECT id FROM border WHERE NOT EXISTS (SELECT FROM crossing WHERE border_id = border.id)
"""
_UNTOLD_COUNTRIES = """
    SELECT code FROM country
    EXCEPT (SELECT first FROM border UNION SELECT second FROM border
            UNION SELECT unnest(countries) FROM notice UNION SELECT issuer_country FROM notice)
"""
_MISSING_COUNTRIES = """
    SELECT unnest(countries) FROM notice EXCEPT SELECT code FROM country
"""
# Read back, they are put in order and each is taken once.
_TRAFFIC = f"""
    SELECT change FROM crossing_version
    WHERE cardinality(traffic) <> (SELECT count(DISTINCT one) FROM unnest(traffic) one
                                   WHERE one = ANY ('{{{",".join(Traffic)}}}'))
"""  # noqa: S608 -- the words are our own
_STATEMENTS = {
    _SAID: "the order of an event of change {} was altered",
    _SERIES: "the series of an event of change {} was altered",
    _TRAFFIC: "the traffic of a crossing was altered in the version of change {}",
    _UNTOLD_CROSSINGS: "no change tells of the crossing {}",
    _UNTOLD_BORDERS: "no change tells of the border {}",
    _UNTOLD_COUNTRIES: "no change tells of the country {}",
    _MISSING_COUNTRIES: "the country {} is missing",
}


async def broken_invariants(session: AsyncSession) -> AsyncIterator[str]:
    """Tell of rows that break a rule, refer to nothing, or that no change led to."""
    for sentence, statement in [*_required(), *_rules(), *_references(), *_recorders()]:
        for row in await session.execute(statement.limit(_SHOWN)):
            yield sentence.format(", ".join(map(str, row)))
    for statement_text, sentence in _STATEMENTS.items():
        for (value,) in await session.execute(text(f"{statement_text} ORDER BY 1 LIMIT {_SHOWN}")):
            yield sentence.format(value)


def _required() -> Iterator[tuple[str, Select[*tuple[object, ...]]]]:
    """Yield a statement for each table, of how many rows lack a value that each must have.

    The other rules hold where a value is missing, as SQL has it.
    """
    for table in metadata.sorted_tables:
        lacking = or_(*(column.is_(None) for column in table.c if not column.nullable))
        rows = select(func.count()).select_from(table).where(lacking)
        yield f"{{}} rows of {table.name} lack a required value", rows.having(func.count() > 0)


def _rules() -> Iterator[tuple[str, Select[*tuple[object, ...]]]]:
    """Yield a statement for each check constraint, of how many rows break it, if any do."""
    for table in metadata.sorted_tables:
        for rule in sorted(table.constraints, key=lambda one: str(one.name)):
            # Rows from before a rule that is not valid for them may break it.
            if isinstance(rule, CheckConstraint) and not rule.dialect_kwargs.get(
                "postgresql_not_valid"
            ):
                broken = (
                    select(func.count())
                    .select_from(table)
                    .where(~func.coalesce(rule.sqltext, true()))
                )
                yield (
                    f"{{}} rows of {table.name} break {rule.name}",
                    broken.having(func.count() > 0),
                )


def _references() -> Iterator[tuple[str, Select[*tuple[object, ...]]]]:
    """Yield a statement for each foreign key, of values that are nowhere to be found."""
    for table in metadata.sorted_tables:
        for key in sorted(table.foreign_key_constraints, key=lambda one: str(one.name)):
            yield _sentence(key), _dangling(key)


def _sentence(key: ForeignKeyConstraint) -> str:
    columns = ", ".join(key.column_keys)
    return f"{key.table.name} has a {columns} that {key.referred_table.name} lacks: {{}}"


def _dangling(key: ForeignKeyConstraint) -> Select[*tuple[object, ...]]:
    target = key.referred_table.alias("target")
    pairs = [(one.parent, target.c[one.column.key]) for one in key.elements]
    here = [column for column, _ in pairs]
    found = exists().where(and_(*(column == there for column, there in pairs)))
    given = and_(*(column.is_not(None) for column in here))
    return select(*here).distinct().where(given, ~found)


def _recorders() -> Iterator[tuple[str, Select[*tuple[object, ...]]]]:
    for table in metadata.sorted_tables:
        if {"change", "recorded_by"} <= set(table.c.keys()):
            differs = table.c.recorded_by != Change.recorded_by
            rows = select(Change.number).join(table, table.c.change == Change.number)
            yield f"{table.name} names another recorder than change {{}}", rows.where(differs)
