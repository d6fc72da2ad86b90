"""Which changes are news to those who wait for one: a different answer, an announcement. Pure.

A confirmation that leaves the answer as it is, a note about the source, or a correction of a reason
are not: nobody should be woken for them.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.vocabulary import Certainty, ChangeKind

Json = Mapping[str, object]

_ANNOUNCING = {ChangeKind.DECISION, ChangeKind.RETRACTION}
_TIMES = ("status", "last_known", "since", "until", "expected_until", "next_change_at")
"""The fields of an answer that say what holds, from when, and until when."""


@dataclass(frozen=True, slots=True)
class LaneScope:
    """Lanes of a crossing, by their traffic and the country they enter; None is any."""

    traffic: frozenset[str] | None
    to: str | None

    def overlaps(self, traffic: str | None, to: str | None) -> bool:
        """Return whether one of the lanes may be used by this traffic, to this country."""
        return (self.traffic is None or traffic is None or traffic in self.traffic) and (
            self.to is None or to in {None, self.to}
        )


def news_of(kind: ChangeKind, payload: Json) -> Mapping[str, Sequence[LaneScope]]:
    """Return the crossings about which a change is news, each with the lanes that it concerns."""
    news: defaultdict[str, list[LaneScope]] = defaultdict(list)
    answers = {str(answer["crossing"]): answer for answer in _objects(payload.get("answers"))}
    if kind in _ANNOUNCING:
        for event in _objects(payload.get("events")):
            crossing = str(event["crossing"])
            is_new = kind is ChangeKind.DECISION and event["supersedes"] is None
            if event["certainty"] != Certainty.UNCONFIRMED and (
                is_new or _differs(answers.get(crossing))
            ):
                news[crossing].append(_scope(event))
    for crossing, answer in answers.items():
        for lane in _objects(answer["lanes"]):
            if None not in (lane["before"], lane["after"]) and lane["before"] != lane["after"]:
                news[crossing].append(LaneScope(frozenset({str(lane["traffic"])}), str(lane["to"])))
    return news


def _differs(answer: Json | None) -> bool:
    """Return whether an answer says something else than before about what holds, and when."""
    if answer is None:
        return False
    before, after = answer["before"], answer["after"]
    if not isinstance(before, Mapping) or not isinstance(after, Mapping):
        return True
    return any(before.get(field) != after.get(field) for field in _TIMES)


def _scope(event: Json) -> LaneScope:
    traffic, to = event["traffic"], event["to"]
    categories = frozenset(map(str, traffic)) if isinstance(traffic, list) else None
    return LaneScope(categories, None if to is None else str(to))


def _objects(items: object) -> list[Json]:
    return [item for item in items if isinstance(item, Mapping)] if isinstance(items, list) else []
