"""Read the seed files and check them against their schema: the API's own bodies."""

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


class SeedIncident(IncidentIn):
    """An incident, under the id that records and notices use."""

    id: str = _Id


class SeedNotice(NoticeIn):
    """A notice, under the id by which others contradict it."""

    id: str = _Id


class Fact(Body):
    """One thing that the article says: the seeds that it stands as, or why it is left out.

    Nothing is loaded from it. It shows that no statement of the article was forgotten.
    """

    row: int = Field(ge=1)
    paragraph: int = Field(ge=1)
    says: Line
    stands_as: list[str] = Field([], max_length=20)
    left_out: Line | None = None

    @model_validator(mode="after")
    def _is_one_or_the_other(self) -> Self:
        if bool(self.stands_as) == bool(self.left_out):
            raise PydanticCustomError("fact", "must either have a value or be left out")
        return self


SeedBody = SeedSource | CrossingIn | SeedIncident | SeedDeclaration | SeedConfirmation | SeedNotice


@dataclass(frozen=True, slots=True)
class Seed:
    """One record of the files: its name among all seeds, its body, the digest of its text."""

    name: str
    body: SeedBody
    digest: bytes


Records = list[dict[str, object]]


class Files(Body):
    """All files together, as their parser reads them: every record still unchecked.

    In the order of loading: what is referred to comes before what refers to it.
    """

    source: Records = Field([])
    crossing: Records = Field([])
    incident: Records = Field([])
    record: Records = Field([])
    notice: Records = Field([])
    fact: Records = Field([])


class Seeds:
    """What the files of a folder hold. Each folder in it is a set of seeds, by its name."""

    def __init__(self, folder: Path, *, only: Collection[str] | None = None) -> None:
        """Read every file in the folder and below it, in the order of their paths.

        With ``only``, the seeds are those of these sets, and what they refer to in others.
        Raises SeedError for a set that does not exist.
        """
        by_set = _read(folder)
        if only is not None and (unknown := sorted(set(only) - by_set.keys())):
            raise SeedError(
                f"There is no seed set {unknown[0]!r}. There are {', '.join(sorted(by_set))}."
            )
        self.files = _merged(by_set.values())
        self._ids = {
            "source": _ids("source", self.files.source),
            "incident": _ids("incident", self.files.incident),
            "notice": _ids("notice", self.files.notice),
        }
        self._wanted = None if only is None else self._with_references(by_set, only)

    def checked(self) -> list[Seed]:
        """Return every seed in the order of loading. Raises SeedError."""
        found = [
            *self._checked("source", SeedSource),
            *self._checked("crossing", CrossingIn),
            *self._checked("incident", SeedIncident),
            *self._checked("record"),
            *self._checked("notice", SeedNotice),
        ]
        names = [seed.name for seed in found]
        if twice := {name for name in names if names.count(name) > 1}:
            raise SeedError(f"There are two seeds {', '.join(sorted(twice))}.")
        self._check_facts(set(names))
        return [seed for seed in found if self._wanted is None or seed.name in self._wanted]

    def _with_references(self, by_set: dict[str, Files], only: Collection[str]) -> set[str]:
        """Return the names of the seeds of some sets, and of all that they refer to."""
        records = dict(_named(self.files))
        crossings_of: defaultdict[str, list[str]] = defaultdict(list)
        for record in self.files.crossing:
            border = "-".join(sorted(map(str, _listed(record.get("sides")))))
            crossings_of[border].append(f"crossing/{record.get('id')}")
        wanted: set[str] = set()
        missing = {name for one in only for name, _ in _named(by_set[one])}
        while missing:
            wanted |= missing
            references = [_references(records[name], crossings_of) for name in missing]
            missing = {one for found in references for one in found} & records.keys() - wanted
        return wanted

    def facts(self) -> list[Fact]:
        """Return what the article says, statement by statement. Raises SeedError."""
        try:
            return [Fact.model_validate(fact) for fact in self.files.fact]
        except ValidationError as error:
            raise SeedError(f"The list of facts: {faults_of(error)}") from error

    def _check_facts(self, names: set[str]) -> None:
        for fact in self.facts():
            if missing := sorted(set(fact.stands_as) - names):
                raise SeedError(f"Fact {fact.row} stands as {missing[0]!r}, which is not a seed.")

    def _checked(self, kind: str, schema: type[SeedBody] | None = None) -> Iterator[Seed]:
        for record in getattr(self.files, kind):
            name = f"{kind}/{record.get('id')}"
            told = json.dumps(record, sort_keys=True, default=str)
            try:
                body = (schema or _event_schema(record)).model_validate(self._linked(record, name))
            except ValidationError as error:
                raise SeedError(f"{name}: {faults_of(error)}") from error
            yield Seed(name, body, hashlib.sha256(told.encode()).digest())

    def _linked(self, record: dict[str, object], name: str) -> dict[str, object]:
        """Return the record with the ids that its references by name will have."""
        found = dict(record)
        citations = record.get("citations")
        if isinstance(citations, list):
            found["citations"] = [self._cited(citation, name) for citation in citations]
        if "incident" in record:
            found["incident"] = self._id("incident", record["incident"], name)
        contradicted = record.get("contradicts")
        if isinstance(contradicted, list):
            found["contradicts"] = [self._id("notice", one, name) for one in contradicted]
        return found

    def _cited(self, citation: object, name: str) -> dict[str, object]:
        given = citation if isinstance(citation, dict) else {"source": citation}
        return {**given, "source": self._id("source", given.get("source"), name)}

    def _id(self, kind: str, told: object, name: str) -> UUID:
        found = self._ids[kind].get(told) if isinstance(told, str) else None
        if found is None:
            raise SeedError(f"{name} refers to {told!r}, but the files have no {kind} of that id.")
        return found


def _ids(kind: str, records: Records) -> dict[str, UUID]:
    """Return the id that each of a kind has in every database."""
    return {str(one.get("id")): seed_id(f"{kind}/{one.get('id')}", kind) for one in records}


def _event_schema(record: dict[str, object]) -> type[SeedBody]:
    return SeedDeclaration if record.get("kind") == "declaration" else SeedConfirmation


def _named(files: Files) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield every record that is loaded, with its name among all seeds."""
    for kind, records in files:
        if kind != "fact":
            yield from ((f"{kind}/{record.get('id')}", record) for record in records)


def _references(
    record: dict[str, object], crossings_of: Mapping[str, Collection[str]]
) -> Iterator[str]:
    """Yield the names of the seeds that a record refers to.

    A border exists with its crossings, ``crossings_of`` it, so they are what it stands for.
    """
    fields = (
        ("source", [_source_of(one) for one in _listed(record.get("citations"))]),
        ("incident", [record.get("incident")]),
        ("crossing", [record.get("crossing"), *_listed(record.get("crossings"))]),
        ("notice", _listed(record.get("contradicts"))),
    )
    yield from (f"{kind}/{one}" for kind, given in fields for one in given)
    subjects = record.get("subjects")
    if isinstance(subjects, dict):
        yield from (f"crossing/{one}" for one in _listed(subjects.get("crossings")))
        for border in _listed(subjects.get("borders")):
            yield from crossings_of.get(str(border), ())


def _source_of(citation: object) -> object:
    return citation.get("source") if isinstance(citation, dict) else citation


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _merged(sets: Iterable[Files]) -> Files:
    tables: dict[str, Records] = {}
    for files in sets:
        for kind, records in files:
            tables.setdefault(kind, []).extend(records)
    return Files.model_validate(tables)


def _read(folder: Path) -> dict[str, Files]:
    """Return what each set has, in the order of the sets' names."""
    found: dict[str, list[Files]] = {}
    paths = sorted(folder.rglob("*.toml"))
    if not paths:
        raise SeedError(f"There are no seed files in {folder}.")
    for path in paths:
        name = path.relative_to(folder).parts[0]
        try:
            told = tomllib.loads(path.read_text(encoding="utf-8"))
            found.setdefault(name, []).append(Files.model_validate(told))
        except ValidationError as error:
            raise SeedError(f"{path.relative_to(folder)}: {faults_of(error)}") from error
        except (OSError, tomllib.TOMLDecodeError) as error:
            raise SeedError(f"{path.relative_to(folder)}: {error}") from error
    return {name: _merged(files) for name, files in found.items()}
