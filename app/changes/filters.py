"""The filter of changes, which pages, streams and webhooks share."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from psycopg.types.json import Jsonb

from app.http.parameters import Kind
from app.vocabulary import ChangeKind, Traffic

Json = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter of changes. A change must touch one of each set that is not empty.

    With ``traffic`` or ``to`` it must also concern such a lane, of one of ``crossings`` if they are
    given: the scope of one of its events covers the lane, or the answer about the lane changes.
    """

    crossings: frozenset[str] = frozenset()
    borders: frozenset[str] = frozenset()
    countries: frozenset[str] = frozenset()
    kinds: frozenset[ChangeKind] = frozenset()
    traffic: Traffic | None = None
    to: str | None = None

    def matches(self, record: Json) -> bool:
        """Return whether the record of a change matches."""
        return (
            (not self.kinds or record["kind"] in self.kinds)
            and all(
                names.intersection(_list(_object(record["subjects"]).get(subject_kind)))
                for subject_kind, names in self._subjects()
            )
            and (not self.filters_lanes or self._concerns_lane(_object(record["payload"])))
        )

    def sql_condition(self) -> tuple[str, dict[str, object]]:
        """Return an SQL condition that every matching change fulfils, and its parameters.

        It ignores lanes, which only `matches` checks.
        """
        conditions: list[str] = ["true"]
        parameters: dict[str, object] = {}
        for subject_kind, names in self._subjects():
            values = {
                f"{subject_kind}_{position}": Jsonb({subject_kind: [name]})
                for position, name in enumerate(names)
            }
            touched = " OR ".join(f"subjects @> %({parameter})s" for parameter in values)
            conditions.append(f"({touched})")
            parameters |= values
        if self.kinds:
            conditions.append("kind = ANY (%(kinds)s)")
            parameters["kinds"] = sorted(self.kinds)
        return " AND ".join(conditions), parameters

    def ids_to_check(self) -> dict[str, tuple[Kind, Collection[str | None]]]:
        """Return the ids in the filter by query parameter, for checking that they exist."""
        return {
            "crossing": (Kind.CROSSING, sorted(self.crossings)),
            "border": (Kind.BORDER, sorted(self.borders)),
            "country": (Kind.COUNTRY, sorted(self.countries)),
            "to": (Kind.COUNTRY, [self.to]),
        }

    @property
    def filters_lanes(self) -> bool:
        return self.traffic is not None or self.to is not None

    def _subjects(self) -> Iterator[tuple[str, frozenset[str]]]:
        """Yield the kinds of subjects that are filtered, with the ids of which one must match."""
        names_by_kind = {
            "crossings": self.crossings,
            "borders": self.borders,
            "countries": self.countries,
        }
        return ((subject_kind, names) for subject_kind, names in names_by_kind.items() if names)

    def _concerns_lane(self, payload: Json) -> bool:
        events = self._at_crossings(payload.get("events"))
        answers = self._at_crossings(payload.get("answers"))
        return any(map(self._covers_lane, events)) or any(map(self._changes_lane, answers))

    def _at_crossings(self, items: object) -> Iterator[Json]:
        for item in map(_object, _list(items)):
            if not self.crossings or item["crossing"] in self.crossings:
                yield item

    def _covers_lane(self, event: Json) -> bool:
        """Return whether the scope of an event covers such a lane; null means all lanes."""
        traffic, to = event["traffic"], event["to"]
        return (self.traffic is None or traffic is None or self.traffic in _list(traffic)) and (
            self.to is None or to in {None, self.to}
        )

    def _changes_lane(self, answer: Json) -> bool:
        return any(
            self.traffic in {None, lane["traffic"]} and self.to in {None, lane["to"]}
            for lane in map(_object, _list(answer["lanes"]))
        )


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _object(value: object) -> Json:
    assert isinstance(value, Mapping)
    return value
