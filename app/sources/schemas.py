"""Bodies of sources and citations."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Discriminator, Field, JsonValue, Tag

from app.http.bodies import UNTOLD, Body, DateOrInstant, Line, Text, example
from app.vocabulary import Basis, SourceKind

SourceUrl = Annotated[
    str,
    Field(
        pattern="^https?://[!-~]+$",
        max_length=2000,
        description="An http or https address in ASCII: other characters percent-encoded.",
    ),
]

SOURCE_EXAMPLE: dict[str, JsonValue] = {
    "title": "Two crossings close on Friday",
    "publisher": "State Border Guard Service",
    "published_at": "2023-08-16",
    "url": "https://example.org/notice/17",
}
CITATION_EXAMPLE: dict[str, JsonValue] = {
    "source": {"title": "Two crossings close on Friday"},
}


class SourceIn(Body, title="NewSource"):
    """Where a fact comes from: as much as is known of it."""

    model_config = example(SOURCE_EXAMPLE)

    kind: SourceKind = SourceKind.ARTICLE
    title: Line = Field(examples=["The crossing closes on Friday"])
    publisher: Line | None = Field(None, examples=["State Border Guard Service"])
    published_at: DateOrInstant | None = None
    retrieved_at: DateOrInstant | None = None
    url: SourceUrl | None = Field(None, examples=["https://example.org/notice/17"])
    file_name: Line | None = Field(None, description="File name of our copy.")
    sha256: str | None = Field(
        None, pattern="^[0-9a-f]{64}$", description="SHA-256 of our copy, in lower-case hex."
    )
    language: str | None = Field(
        None,
        pattern="^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$",
        max_length=35,
        description="Of the source itself; the title may be in English instead.",
        examples=["lt"],
    )
    note: Text | None = Field(
        None, description="What a reader should know about the source, in English."
    )


class SourceOut(SourceIn, title="Source", json_schema_extra=None):
    """A source as it was recorded. Sources never change."""

    id: UUID
    change: int
    recorded_at: datetime
    recorded_by: str


class SourcePreview(SourceIn, title="SourcePreview", json_schema_extra=None):
    """A source as it would be recorded."""

    id: None
    change: None
    recorded_at: None
    recorded_by: str


def _which_source(value: object) -> str:
    return f"{UNTOLD}inline" if isinstance(value, dict | SourceIn) else f"{UNTOLD}id"


SourceOrId = Annotated[
    Annotated[UUID, Tag(f"{UNTOLD}id")] | Annotated[SourceIn, Tag(f"{UNTOLD}inline")],
    Discriminator(_which_source),
]
"""One that is recorded, by id, or a new one, inline."""


class CitationIn(Body, title="NewCitation"):
    """The link to a source: one that is recorded, by id, or a new one, inline."""

    source: SourceOrId
    locator: Line | None = Field(
        None, description="Where in the source, in English.", examples=["paragraph 1"]
    )
    basis: Basis = Basis.STATED


Citations = Annotated[list[CitationIn], Field(min_length=1, max_length=50)]


class CitationOut(Body, title="Citation"):
    """The link to a source, and how it supports the fact."""

    source: UUID
    locator: str | None
    basis: Basis


class CitationPreview(CitationOut, title="CitationPreview"):
    """A citation before it is written: a new source has no id yet."""

    source: UUID | None  # type: ignore[assignment]  # wider on purpose
