"""Record sources, cite them, read them back."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from app.access.service import Reporter
from app.access.writing import WriteResult
from app.changes.ids import new_ids
from app.changes.service import LogSlot, append_change, reserve_slot
from app.database.driver import fetch
from app.database.sessions import append
from app.errors import FieldError, Invalid, SourceNotFound
from app.http.bodies import STORED
from app.sources.models import Citation, Source
from app.sources.schemas import CitationIn, CitationOut, SourceIn, SourceOut
from app.vocabulary import Basis, ChangeKind

_EXISTING = "SELECT id FROM source WHERE id = ANY (%(ids)s)"


class _Id(NamedTuple):
    id: UUID


@dataclass(frozen=True, slots=True)
class NewCitations:
    """Citations that refer to all sources by id, and the new sources among them."""

    citations: tuple[CitationOut, ...]
    new_sources: tuple[Source, ...]

    @property
    def new_ids(self) -> frozenset[str]:
        return frozenset(str(source.id) for source in self.new_sources)

    def source_records(self) -> list[JsonValue]:
        return [source_record(source) for source in self.new_sources]

    def source_ids(self) -> list[str]:
        return sorted({str(citation.source) for citation in self.citations})

    def part(self, start: int, count: int) -> "NewCitations":
        """Return a part of the citations, without the new sources."""
        return NewCitations(self.citations[start : start + count], ())

    def linked(self, **subject: object) -> list[Citation]:
        """Return the rows that link the sources to a subject, which its columns identify."""
        return [
            Citation(
                source_id=citation.source,
                locator=citation.locator,
                basis=citation.basis.value,
                **subject,
            )
            for citation in self.citations
        ]


async def record_source(
    session: AsyncSession, reporter: Reporter, *, source: SourceIn, seed: str | None = None
) -> WriteResult:
    """Append a source."""
    slot = await reserve_slot(session)
    minted = new_ids(slot.recorded_at, ["source"], seed=seed)
    row = _row(source, minted["source"], slot, reporter)
    body = source_out(row)
    await append_change(
        session,
        slot,
        kind=ChangeKind.SOURCE,
        subjects={"sources": [str(row.id)]},
        payload={"sources": [source_record(row)]},
        recorded_by=reporter.name,
    )
    await append(session, row)
    return WriteResult(body, f"/v1/sources/{row.id}", slot.number, {str(row.id)})


async def require_sources(session: AsyncSession, citations: Sequence[CitationIn]) -> None:
    """Raise Invalid if a source that is cited by id does not exist.

    Sources are never deleted, so that this can be checked before the slot is reserved.
    """
    await require_sources_of(session, {"citations": citations})


async def require_sources_of(
    session: AsyncSession, citations: Mapping[str, Sequence[CitationIn]]
) -> None:
    """Raise Invalid as `require_sources` does, for lists of citations by their field."""
    cited = [citation for listed in citations.values() for citation in listed]
    ids = {citation.source for citation in cited if isinstance(citation.source, UUID)}
    if not ids:
        return
    existing = await fetch(session, _Id, _EXISTING, {"ids": list(ids)})
    missing = ids - {row.id for row in existing}
    faults = [
        FieldError("body", f"{field}.{index}.source", f"there is no source {citation.source}")
        for field, listed in citations.items()
        for index, citation in enumerate(listed)
        if citation.source in missing
    ]
    if faults:
        raise Invalid(faults)


def cite(slot: LogSlot, reporter: Reporter, citations: Sequence[CitationIn]) -> NewCitations:
    """Create the sources that are given inline, equal ones once, and refer to all by id."""
    inline = list(
        dict.fromkeys(
            citation.source for citation in citations if isinstance(citation.source, SourceIn)
        )
    )
    minted = new_ids(slot.recorded_at, [str(number) for number, _ in enumerate(inline)])
    ids = dict(zip(inline, minted.values(), strict=True))
    return NewCitations(
        citations=tuple(
            CitationOut(
                source=ids[citation.source]
                if isinstance(citation.source, SourceIn)
                else citation.source,
                locator=citation.locator,
                basis=citation.basis,
            )
            for citation in citations
        ),
        new_sources=tuple(_row(source, ids[source], slot, reporter) for source in inline),
    )


async def get_source(session: AsyncSession, source_id: UUID) -> SourceOut:
    row = await session.get(Source, source_id)
    if row is None:
        raise SourceNotFound(f"There is no source {source_id}.")
    return source_out(row)


async def list_sources(
    session: AsyncSession, *, after: tuple[int, UUID] | None, limit: int
) -> list[SourceOut]:
    """Return the sources after ``after`` (a change and an id), the newest first."""
    rows = select(Source).order_by(Source.change.desc(), Source.id.desc()).limit(limit)
    if after is not None:
        rows = rows.where(tuple_(Source.change, Source.id) < after)
    return [source_out(row) for row in await session.scalars(rows)]


async def citations_of(
    session: AsyncSession, subject: InstrumentedAttribute[UUID | None], ids: Iterable[UUID]
) -> dict[UUID, list[CitationOut]]:
    """Return the citations by the values of the column ``subject``, in their original order."""
    cited: dict[UUID, list[CitationOut]] = {subject_id: [] for subject_id in ids}
    rows = select(subject, Citation.source_id, Citation.locator, Citation.basis)
    for subject_id, source, locator, basis in await session.execute(
        rows.where(subject.in_(cited)).order_by(Citation.id)
    ):
        if subject_id is not None:
            cited[subject_id].append(
                CitationOut(source=source, locator=locator, basis=Basis(basis))
            )
    return cited


async def sources_of(session: AsyncSession, ids: Iterable[UUID]) -> dict[UUID, SourceOut]:
    rows = await session.scalars(select(Source).where(Source.id.in_(set(ids))))
    return {row.id: source_out(row) for row in rows}


def source_out(row: Source) -> SourceOut:
    return SourceOut.model_validate(
        {name: getattr(row, name) for name in SourceOut.model_fields}, context=STORED
    )


def source_record(row: Source) -> JsonValue:
    """Return the record of a source for the hash chain."""
    record: JsonValue = source_out(row).model_dump(mode="json")
    return record


def citation_out(row: Citation) -> CitationOut:
    return CitationOut(source=row.source_id, locator=row.locator, basis=Basis(row.basis))


def _row(source: SourceIn, source_id: UUID, slot: LogSlot, reporter: Reporter) -> Source:
    return Source(
        id=source_id,
        change=slot.number,
        recorded_at=slot.recorded_at,
        recorded_by=reporter.name,
        **source.model_dump(mode="json"),
    )
