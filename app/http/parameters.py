"""Query parameters that many operations have, and the refusal of unknown ones and unknown ids."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, NamedTuple
from uuid import UUID

from fastapi import Depends, Query, Request
from fastapi.dependencies.utils import get_flat_params
from fastapi.params import Query as QueryInfo
from fastapi.routing import APIRoute
from sqlalchemy.ext.asyncio import AsyncSession

from app.database.driver import fetch
from app.errors import FAULTS_TOLD, FieldError, Invalid, UnsupportedMediaType, clipped
from app.http.bodies import BorderId, CountryCode, CrossingId, QueryInstant

_UNKNOWN = "is not a parameter of this operation"


# Asynchronous although it waits for nothing: the framework would run it in a thread.
async def refuse_unknown(request: Request) -> None:
    """Refuse query parameters that the operation does not have, and repeated single ones."""
    if not request.query_params:
        return
    route = request.scope["route"]
    assert isinstance(route, APIRoute)
    known = {
        field.alias: "list" in str(field.field_info.annotation)
        for field in get_flat_params(route.dependant)
        if isinstance(field.field_info, QueryInfo)
    }
    counts = Counter(name for name, _ in request.query_params.multi_items())
    repeated = [name for name, count in counts.items() if count > 1 and not known.get(name, True)]
    unknown = [name for name in counts if name not in known]
    if not repeated and not unknown:
        return
    faults = [FieldError("query", name, "must be given once") for name in repeated]
    faults += [FieldError("query", name, _UNKNOWN) for name in unknown[:FAULTS_TOLD]]
    if unknown:
        # Only the first one lists those that exist.
        names = ", ".join(sorted(known)) or "none"
        faults[len(repeated)] = FieldError("query", unknown[0], f"{_UNKNOWN}; it has: {names}")
    raise Invalid(faults, count=len(repeated) + len(unknown))


class Kind(StrEnum):
    """What a filter can name by its id."""

    CROSSING = "crossing"
    BORDER = "border"
    COUNTRY = "country"
    SOURCE = "source"
    INCIDENT = "incident"
    DECISION = "decision"


class _Existing(NamedTuple):
    kind: str
    id: str


_EXISTING = """
    SELECT 'crossing', id FROM crossing WHERE id = ANY (%(crossing)s::text[])
    UNION ALL SELECT 'border', id FROM border WHERE id = ANY (%(border)s::text[])
    UNION ALL SELECT 'country', code FROM country WHERE code = ANY (%(country)s::text[])
    UNION ALL SELECT 'source', id::text FROM source WHERE id = ANY (%(source)s::uuid[])
    UNION ALL SELECT 'incident', id::text FROM incident WHERE id = ANY (%(incident)s::uuid[])
    UNION ALL SELECT 'decision', decision::text FROM status_event
              WHERE decision = ANY (%(decision)s::uuid[])
"""


async def require_existing(
    session: AsyncSession,
    filters: Mapping[str, tuple[Kind, Collection[str | UUID | None]]],
    *,
    where: str = "query",
) -> None:
    """Raise Invalid for each id in a filter that does not exist: an empty answer would mislead.

    ``filters`` has the kind and the ids by the name of the field; None is no id.
    """
    wanted: dict[str, list[str]] = {kind.value: [] for kind in Kind}
    for kind, ids in filters.values():
        wanted[kind] += [str(entity_id) for entity_id in ids if entity_id is not None]
    if not any(wanted.values()):
        return
    existing = set(await fetch(session, _Existing, _EXISTING, wanted))
    faults = [
        FieldError(where, field, f"there is no {kind.value} {entity_id}")
        for field, (kind, ids) in filters.items()
        for entity_id in ids
        if entity_id is not None and (kind.value, str(entity_id)) not in existing
    ]
    if faults:
        raise Invalid(faults)


def require_json(request: Request) -> None:
    """Refuse a body that is not declared as JSON."""
    declared = request.headers.get("content-type", "")
    if declared.partition(";")[0].strip().lower() != "application/json":
        raise UnsupportedMediaType(
            f"Send the body as application/json, not as {clipped(declared) or 'nothing'}."
        )


Crossings = Annotated[
    list[CrossingId],
    Query(
        alias="crossing",
        description="Only what concerns this crossing; repeatable.",
        max_length=200,
        default_factory=list,
    ),
]
Borders = Annotated[
    list[BorderId],
    Query(
        alias="border",
        description="Only what concerns this border; repeatable.",
        max_length=200,
        default_factory=list,
    ),
]
Countries = Annotated[
    list[CountryCode],
    Query(
        alias="country",
        description="Only what concerns this country; repeatable.",
        max_length=200,
        default_factory=list,
    ),
]
At = Annotated[
    QueryInstant | None,
    Query(
        description="The instant to answer for; defaults to now.",
        examples=["2023-09-01T00:00:00Z"],
    ),
]
Retired = Annotated[bool, Query(description="List retired crossings, too.", examples=[True])]
KnownAt = Annotated[
    QueryInstant | None,
    Query(description="Use only what was recorded by this instant; not in the future."),
]
KnownChange = Annotated[
    int | None,
    Query(
        ge=0,
        le=2**62,
        description="Use only what was recorded up to this change; not together with `known_at`.",
        examples=[100],
    ),
]


@dataclass(frozen=True, slots=True)
class AsOf:
    """The state of the log to answer from; if both are None, the newest."""

    known_at: datetime | None = None
    known_change: int | None = None

    @property
    def is_newest(self) -> bool:
        return self.known_at is None and self.known_change is None

    def is_present(self, at: datetime | None) -> bool:
        """Return whether a question about ``at``, None for now, is about the present."""
        return at is None and self.is_newest


def _as_of(known_at: KnownAt = None, known_change: KnownChange = None) -> AsOf:
    return AsOf(known_at, known_change)


AsOfQuery = Annotated[AsOf, Depends(_as_of)]
