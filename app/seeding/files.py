"""Read the seed files and validate them by the bodies of the API."""

import hashlib
import json
import tomllib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self
from uuid import UUID

from pydantic import Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from app.changes.ids import seed_id
from app.config import data_folder
from app.http.bodies import Body, CrossingId, Line
from app.incidents.schemas import IncidentIn
from app.notices.schemas import NoticeIn
from app.places.schemas import CrossingIn
from app.sources.schemas import SourceIn
from app.status.schemas import ConfirmationIn, DecisionIn
from app.validation import SLUG, faults_of

SEEDS = data_folder("seeds")

_Id = Field(pattern=SLUG)


class SeedError(Exception):
    """A seed file is invalid. The message names the record."""


class SeedSource(SourceIn):
    """A source, with the id by which citations refer to it."""

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


class SeedIncident(IncidentIn):
    """An incident, with the id by which records and notices refer to it."""

    id: str = _Id


class SeedNotice(NoticeIn):
    """A notice, with the id by which other notices refer to it."""

    id: str = _Id


class Fact(Body):
    """A statement of the article: the seeds that record it, or why it is left out.

    Facts are not loaded. They show that no statement of the article was forgotten.
    """

    row: int = Field(ge=1)
    paragraph: int = Field(ge=1)
    says: Line
    stands_as: list[str] = Field([], max_length=20)
    left_out: Line | None = None

    @model_validator(mode="after")
    def _has_seeds_or_a_reason(self) -> Self:
        if bool(self.stands_as) == bool(self.left_out):
            raise PydanticCustomError("fact", "must either have a value or be left out")
        return self


SeedBody = SeedSource | CrossingIn | SeedIncident | SeedDeclaration | SeedConfirmation | SeedNotice


@dataclass(frozen=True, slots=True)
class Seed:
    """A record of the files: its unique name, its body, and the digest of its text."""

    name: str
    body: SeedBody
    digest: bytes


Records = list[dict[str, object]]


class Files(Body):
    """The parsed files, whose records are not validated yet.

    The order is that of loading: records come before those that refer to them.
    """

    source: Records = Field([])
    crossing: Records = Field([])
    incident: Records = Field([])
    record: Records = Field([])
    notice: Records = Field([])
    fact: Records = Field([])


class Seeds:
    """The seeds in the files of a folder. Each folder in it is a named set of seeds."""

    def __init__(self, folder: Path, *, only: Collection[str] | None = None) -> None:
        """Read every file in the folder and below it, in the order of their paths.

        With ``only``, the seeds are those of these sets, and those in others that they refer to.
        Raises SeedError for a set that does not exist.
        """
        by_set = _read_sets(folder)
        if only is not None and (unknown := sorted(set(only) - by_set.keys())):
            raise SeedError(
                f"There is no seed set {unknown[0]!r}. There are {', '.join(sorted(by_set))}."
            )
        self.files = _merge(by_set.values())
        self._ids = {
            "source": _ids("source", self.files.source),
            "incident": _ids("incident", self.files.incident),
            "notice": _ids("notice", self.files.notice),
        }
        self._selected = None if only is None else self._with_references(by_set, only)

    def load(self) -> list[Seed]:
        """Return every seed in the order of loading. Raises SeedError."""
        seeds = [
            *self._load("source", SeedSource),
            *self._load("crossing", CrossingIn),
            *self._load("incident", SeedIncident),
            *self._load("record"),
            *self._load("notice", SeedNotice),
        ]
        names = [seed.name for seed in seeds]
        if twice := {name for name in names if names.count(name) > 1}:
            raise SeedError(f"There are two seeds {', '.join(sorted(twice))}.")
        self._check_facts(set(names))
        return [seed for seed in seeds if self._selected is None or seed.name in self._selected]

    def _with_references(self, by_set: dict[str, Files], only: Collection[str]) -> set[str]:
        """Return the names of the seeds of some sets, and of all seeds that they refer to."""
        records = dict(_named_records(self.files))
        crossings_of: defaultdict[str, list[str]] = defaultdict(list)
        for record in self.files.crossing:
            border = "-".join(sorted(map(str, _as_list(record.get("sides")))))
            crossings_of[border].append(f"crossing/{record.get('id')}")
        selected: set[str] = set()
        missing = {name for set_name in only for name, _ in _named_records(by_set[set_name])}
        while missing:
            selected |= missing
            references = [_references(records[name], crossings_of) for name in missing]
            missing = {name for names in references for name in names} & records.keys() - selected
        return selected

    def facts(self) -> list[Fact]:
        """Return the statements of the article. Raises SeedError."""
        try:
            return [Fact.model_validate(fact) for fact in self.files.fact]
        except ValidationError as error:
            raise SeedError(f"The list of facts: {faults_of(error)}") from error

    def _check_facts(self, names: set[str]) -> None:
        for fact in self.facts():
            if missing := sorted(set(fact.stands_as) - names):
                raise SeedError(f"Fact {fact.row} stands as {missing[0]!r}, which is not a seed.")

    def _load(self, kind: str, schema: type[SeedBody] | None = None) -> Iterator[Seed]:
        for record in getattr(self.files, kind):
            name = f"{kind}/{record.get('id')}"
            text = json.dumps(record, sort_keys=True, default=str)
            try:
                body = (schema or _event_schema(record)).model_validate(
                    self._with_ids(record, name)
                )
            except ValidationError as error:
                raise SeedError(f"{name}: {faults_of(error)}") from error
            yield Seed(name, body, hashlib.sha256(text.encode()).digest())

    def _with_ids(self, record: dict[str, object], name: str) -> dict[str, object]:
        """Return the record with database ids instead of the names it refers to."""
        linked = dict(record)
        citations = record.get("citations")
        if isinstance(citations, list):
            linked["citations"] = [self._citation(citation, name) for citation in citations]
        if "incident" in record:
            linked["incident"] = self._id("incident", record["incident"], name)
        contradicted = record.get("contradicts")
        if isinstance(contradicted, list):
            linked["contradicts"] = [
                self._id("notice", reference, name) for reference in contradicted
            ]
        return linked

    def _citation(self, citation: object, name: str) -> dict[str, object]:
        fields = citation if isinstance(citation, dict) else {"source": citation}
        return {**fields, "source": self._id("source", fields.get("source"), name)}

    def _id(self, kind: str, reference: object, name: str) -> UUID:
        record_id = self._ids[kind].get(reference) if isinstance(reference, str) else None
        if record_id is None:
            raise SeedError(
                f"{name} refers to {reference!r}, but the files have no {kind} of that id."
            )
        return record_id


def _ids(kind: str, records: Records) -> dict[str, UUID]:
    """Return the database ids of the records of a kind, which are the same everywhere."""
    return {
        str(record.get("id")): seed_id(f"{kind}/{record.get('id')}", kind) for record in records
    }


def _event_schema(record: dict[str, object]) -> type[SeedBody]:
    return SeedDeclaration if record.get("kind") == "declaration" else SeedConfirmation


def _named_records(files: Files) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield the name and the content of every record that is loaded."""
    for kind, records in files:
        if kind != "fact":
            yield from ((f"{kind}/{record.get('id')}", record) for record in records)


def _references(
    record: dict[str, object], crossings_of: Mapping[str, Collection[str]]
) -> Iterator[str]:
    """Yield the names of the seeds that a record refers to.

    A border exists through its crossings, so a reference to one is to those in ``crossings_of``.
    """
    fields = (
        ("source", [_source_of(citation) for citation in _as_list(record.get("citations"))]),
        ("incident", [record.get("incident")]),
        ("crossing", [record.get("crossing"), *_as_list(record.get("crossings"))]),
        ("notice", _as_list(record.get("contradicts"))),
    )
    yield from (f"{kind}/{record_id}" for kind, ids in fields for record_id in ids)
    subjects = record.get("subjects")
    if isinstance(subjects, dict):
        yield from (f"crossing/{crossing}" for crossing in _as_list(subjects.get("crossings")))
        for border in _as_list(subjects.get("borders")):
            yield from crossings_of.get(str(border), ())


def _source_of(citation: object) -> object:
    return citation.get("source") if isinstance(citation, dict) else citation


def _as_list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _merge(sets: Iterable[Files]) -> Files:
    tables: dict[str, Records] = {}
    for files in sets:
        for kind, records in files:
            tables.setdefault(kind, []).extend(records)
    return Files.model_validate(tables)


def _read_sets(folder: Path) -> dict[str, Files]:
    """Return the files of each set, by the name of the set."""
    files_by_set: dict[str, list[Files]] = {}
    paths = sorted(folder.rglob("*.toml"))
    if not paths:
        raise SeedError(f"There are no seed files in {folder}.")
    for path in paths:
        name = path.relative_to(folder).parts[0]
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
            files_by_set.setdefault(name, []).append(Files.model_validate(content))
        except ValidationError as error:
            raise SeedError(f"{path.relative_to(folder)}: {faults_of(error)}") from error
        except (OSError, tomllib.TOMLDecodeError) as error:
            raise SeedError(f"{path.relative_to(folder)}: {error}") from error
    return {name: _merge(files) for name, files in files_by_set.items()}
