"""Read the seed files and check them against their schema: the API's own bodies."""

import hashlib
import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from uuid import UUID

from pydantic import Field, ValidationError

from app.database.schema import PROJECT
from app.http.bodies import Body, CrossingId
from app.places.schemas import CrossingIn
from app.sources.schemas import SourceIn
from app.status.schemas import ConfirmationIn, DecisionIn

SEEDS = PROJECT / "seeds"

_Id = Field(pattern="^[a-z0-9]+(-[a-z0-9]+)*$")


class SeedError(Exception):
    """A seed file is not what it should be. The message names the record."""


class SeedSource(SourceIn):
    """A source, under the id that citations use."""

    id: str = _Id


class SeedDeclaration(DecisionIn):
    """A decision as `POST /v1/events` takes it."""

    id: str = _Id
    kind: Literal["declaration"]


class SeedConfirmation(ConfirmationIn):
    """A confirmation as `POST /v1/crossings/{id}/confirmations` takes it."""

    id: str = _Id
    kind: Literal["confirmation"]
    crossing: CrossingId


SeedBody = SeedSource | CrossingIn | SeedDeclaration | SeedConfirmation


@dataclass(frozen=True, slots=True)
class Seed:
    """One record of the files: its name among all seeds, its body, the digest of its text."""

    name: str
    body: SeedBody
    digest: bytes


class Files(Body):
    """The three files, as their parser reads them: every record still unchecked."""

    source: list[dict[str, object]]
    crossing: list[dict[str, object]]
    record: list[dict[str, object]]


def read_seeds(folder: Path, source_ids: Mapping[str, UUID] | None = None) -> list[Seed]:
    """Return every seed in the order of loading. Raises SeedError.

    ``source_ids`` tells the id that each cited source has or will have.
    """
    files = _read(folder)
    ids = source_ids if source_ids is not None else {}
    found = [
        *_checked("source", SeedSource, files.source, ids),
        *_checked("crossing", CrossingIn, files.crossing, ids),
        *(seed for record in files.record for seed in _record(record, ids)),
    ]
    names = [seed.name for seed in found]
    if twice := {name for name in names if names.count(name) > 1}:
        raise SeedError(f"There are two seeds {', '.join(sorted(twice))}.")
    return found


def source_names(folder: Path) -> list[str]:
    """Return the ids that citations may use."""
    return [str(source.get("id")) for source in _read(folder).source]


def _read(folder: Path) -> Files:
    tables: dict[str, object] = {}
    for name in ("sources", "crossings", "history"):
        path = folder / f"{name}.toml"
        try:
            tables |= tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, tomllib.TOMLDecodeError) as error:
            raise SeedError(f"{path.name}: {error}") from error
    try:
        return Files.model_validate(tables)
    except ValidationError as error:
        raise SeedError(f"The seed files are not whole: {error}") from error


def _record(record: dict[str, object], ids: Mapping[str, UUID]) -> Iterator[Seed]:
    declares = record.get("kind") == "declaration"
    schema = SeedDeclaration if declares else SeedConfirmation
    return _checked("record", schema, [record], ids)


def _checked(
    kind: str,
    schema: type[SeedBody],
    records: list[dict[str, object]],
    ids: Mapping[str, UUID],
) -> Iterator[Seed]:
    for record in records:
        name = f"{kind}/{record.get('id')}"
        digest = hashlib.sha256(json.dumps(record, sort_keys=True, default=str).encode()).digest()
        try:
            body = schema.model_validate(_with_source_ids(record, ids, name))
        except ValidationError as error:
            raise SeedError(f"{name}: {error}") from error
        yield Seed(name, body, digest)


def _with_source_ids(
    record: dict[str, object], ids: Mapping[str, UUID], name: str
) -> dict[str, object]:
    citations = record.get("citations")
    if not isinstance(citations, list):
        return record
    cited = []
    for citation in citations:
        source = citation.get("source") if isinstance(citation, dict) else citation
        if not isinstance(source, str) or source not in ids:
            raise SeedError(f"{name} cites {source!r}, which is no source of the files.")
        cited.append({**citation, "source": ids[source]})
    return {**record, "citations": cited}
