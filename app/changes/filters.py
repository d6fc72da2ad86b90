"""Which changes concern a follower: one rule for pages, streams and webhooks."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from psycopg.types.json import Jsonb

from app.http.parameters import Kind
from app.vocabulary import ChangeKind, Traffic

Json = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Filter:
    """What a change must touch: any of each set that is not empty, and the lanes named.

    With ``traffic`` or ``to`` it must concern a lane: one of its events is said of such a
    lane, or one of its answers tells such a lane otherwise than before. Where crossings are
    named, it must be a lane of theirs.
    """

    crossings: frozenset[str] = frozenset()
    borders: frozenset[str] = frozenset()
    countries: frozenset[str] = frozenset()
    kinds: frozenset[ChangeKind] = frozenset()
    traffic: Traffic | None = None
    to: str | None = None

    def matches(self, record: Json) -> bool:
        """Return whether the record of a change, as `record_of` returns it, is to be told."""
        return (
            (not self.kinds or record["kind"] in self.kinds)
            and all(
                names.intersection(_list(_object(record["subjects"]).get(sort)))
                for sort, names in self._subjects()
            )
            and (not self.is_of_lanes or self._is_of_lane(_object(record["payload"])))
        )

    def narrowing(self) -> tuple[str, dict[str, object]]:
        """Return what every change that matches fulfils, as a condition and its parameters.

        Lanes are looked at afterwards.
        """
        conditions: list[str] = ["true"]
        parameters: dict[str, object] = {}
        for sort, names in self._subjects():
            given = {f"{sort}_{place}": Jsonb({sort: [name]}) for place, name in enumerate(names)}
            touched = " OR ".join(f"subjects @> %({parameter})s" for parameter in given)
            conditions.append(f"({touched})")
            parameters |= given
        if self.kinds:
            conditions.append("kind = ANY (%(kinds)s)")
            parameters["kinds"] = sorted(self.kinds)
        return " AND ".join(conditions), parameters

    def named(self) -> dict[str, tuple[Kind, Collection[str | None]]]:
        """Return what it names by id, under the names of the query's parameters."""
        return {
            "crossing": (Kind.CROSSING, sorted(self.crossings)),
            "border": (Kind.BORDER, sorted(self.borders)),
            "country": (Kind.COUNTRY, sorted(self.countries)),
            "to": (Kind.COUNTRY, [self.to]),
        }

    @property
    def is_of_lanes(self) -> bool:
        return self.traffic is not None or self.to is not None

    def _subjects(self) -> Iterator[tuple[str, frozenset[str]]]:
        """Yield the sorts of subjects that count, each with the names it takes one of."""
        named = {
            "crossings": self.crossings,
            "borders": self.borders,
            "countries": self.countries,
        }
        return ((sort, names) for sort, names in named.items() if names)

    def _is_of_lane(self, payload: Json) -> bool:
        events = self._of_crossings(payload.get("events"))
        answers = self._of_crossings(payload.get("answers"))
        return any(map(self._is_said_of, events)) or any(map(self._is_told_otherwise, answers))

    def _of_crossings(self, items: object) -> Iterator[Json]:
        for item in map(_object, _list(items)):
            if not self.crossings or item["crossing"] in self.crossings:
                yield item

    def _is_said_of(self, event: Json) -> bool:
        """Return whether an event's scope has such a lane; null is all of them."""
        traffic, to = event["traffic"], event["to"]
        return (self.traffic is None or traffic is None or self.traffic in _list(traffic)) and (
            self.to is None or to in {None, self.to}
        )

    def _is_told_otherwise(self, answer: Json) -> bool:
        return any(
            self.traffic in {None, lane["traffic"]} and self.to in {None, lane["to"]}
            for lane in map(_object, _list(answer["lanes"]))
        )


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _object(value: object) -> Json:
    assert isinstance(value, Mapping)
    return value
