"""HTTP of the page on which reporters report a change."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import Query, Response

from app.board.views import View
from app.errors import Unavailable, invalid
from app.http.bodies import sides_of
from app.http.problems import RETRY_AFTER
from app.http.routing import hidden_router
from app.languages.words import N_, Words
from app.observations.schemas import WaitOut
from app.pages.rendering import CurrentReader, page
from app.places.geography import Point
from app.places.schemas import CrossingRecord
from app.places.zones import Clocks
from app.vocabulary import (
    Certainty,
    DeclaredStatus,
    ExceptionCode,
    Precision,
    ReasonCode,
    SourceKind,
    Status,
    Traffic,
)

router = hidden_router()

_MESSAGES: Mapping[str, str] = {
    "all": N_("all traffic"),
    "nothing": N_("This would change nothing: it already applies, or does not decide."),
    "rumour": N_("An unconfirmed report never decides a status. It is shown next to it."),
    "stays": N_(
        "{crossing}: {lanes} would stay {status}, because another statement still applies."
    ),
    "contradicts": N_("{crossing}: this contradicts what {side} said: {status} since {from}."),
    "replaces": N_("{crossing}: this replaces what {side} said: {status} since {from}."),
    "until": N_("until further notice"),
    "missing": N_("give the date and the time"),
    "skipped": N_("does not exist in {place}: the clocks are put forward then"),
    "none": N_("choose at least one"),
    "which": N_("choose which of the two is meant"),
    "unanswered": N_("No answer arrived"),
    "lost": N_("The report may or may not have been published; it is safe to send it again."),
    "confirms": N_("{crossing}: {status} since {from}, {lanes}. Declared by {side}."),
    "confirmsNothing": N_(
        "{crossing}: the sides you chose declared nothing that applies there at that time, so this"
        " would confirm nothing."
    ),
    "corrected": N_("This entry was corrected already. Below is the correction."),
    "undeclared": N_("This entry declares no status, so it can only be withdrawn."),
    "withdrawn": N_("This entry was withdrawn already."),
    "confirmed": N_("Confirmed again"),
    "recorded": N_("Recorded as change {change}."),
    "retracted": N_("Withdrawn with change {change}."),
    "faulty": N_("This report cannot be published yet"),
    "refused": N_("It was not recorded"),
    "crossing": N_("Crossing"),
    "lanes": N_("Lanes"),
    "before": N_("Now"),
    "after": N_("Next"),
    "same": N_("the same, according to this"),
    "from": N_("From"),
    "end": N_("Until"),
}
"""The messages of the script."""
_ALL_BORDERS = 1_000_000


class Action(StrEnum):
    """What a reporter does: declares a status, or acts on a recorded event."""

    DECLARE = "declare"
    CORRECT = "correct"
    END = "end"
    WITHDRAW = "withdraw"
    CONFIRM = "confirm"


_TITLES: Mapping[Action, str] = {
    Action.DECLARE: N_("Report a change"),
    Action.CORRECT: N_("Correct an entry"),
    Action.END: N_("End an entry"),
    Action.WITHDRAW: N_("Withdraw an entry"),
    Action.CONFIRM: N_("Confirm that it still applies"),
}
_LEADS: Mapping[Action, str] = {
    Action.DECLARE: N_(
        "For reporters with a key. You see exactly what your report would change before you"
        " publish it, and you can withdraw it."
    ),
    Action.CORRECT: N_(
        "For reporters with a key. The correction replaces the entry, which stays in the log."
    ),
    Action.END: N_(
        "For reporters with a key. After the end, whatever applied before applies again. If the"
        " crossing reopens, report that as a change instead."
    ),
    Action.WITHDRAW: N_(
        "For reporters with a key. Withdraw what should not have been recorded. It stays in the"
        " log, but applies no longer."
    ),
    Action.CONFIRM: N_(
        "For reporters with a key. Confirm that you checked the source again, and what it says"
        " is still true. You can confirm several crossings at once."
    ),
}


@dataclass(frozen=True, slots=True)
class ZoneChoice:
    """A time zone of a country, in which instants can be entered."""

    country: str
    zone: str
    place: str


@router.get("/report")
async def report(
    reader: CurrentReader,
    crossing: Annotated[list[str] | None, Query(max_length=1_000)] = None,
    action: Annotated[Action, Query()] = Action.DECLARE,
    event: Annotated[UUID | None, Query()] = None,
) -> Response:
    """Show the form, for the given crossings or about the given event."""
    if event is None and action not in {Action.DECLARE, Action.CONFIRM}:
        raise invalid("event", f"is required to {action}", where="query")
    if not reader.board.is_loaded:
        raise Unavailable("The board is still being loaded.", headers={"Retry-After": RETRY_AFTER})
    views = {
        border: in_use
        for border in reader.board.borders(after=None, limit=_ALL_BORDERS)
        if (in_use := _in_use(reader.board.views_of(border, reader.moment)))
    }
    chosen = crossing or []
    countries = sorted({code for border in views for code in sides_of(border)})
    records = [view.present.record for listed in views.values() for view in listed]
    clocks = _zone_choices(reader.words, records)
    return page(
        reader,
        "report.html",
        action=action,
        title=reader.words.translate(_TITLES[action]),
        lead=reader.words.translate(_LEADS[action]),
        event=event,
        borders=views,
        countries=countries,
        zones={record.id: _zones(record) for record in records},
        clocks=clocks,
        example=next(
            (record for record in records if record.id in chosen), next(iter(records), None)
        ),
        chosen=chosen,
        disagreeing=_disagreeing(views.values()) if action is Action.DECLARE else [],
        texts=_script_texts(reader.words, countries, clocks),
        Certainty=Certainty,
        DeclaredStatus=DeclaredStatus,
        ExceptionCode=ExceptionCode,
        Precision=Precision,
        ReasonCode=ReasonCode,
        SourceKind=SourceKind,
        Traffic=Traffic,
    )


def _in_use(views: Sequence[View]) -> list[View]:
    """Return the crossings about which something can still be reported."""
    return [view for view in views if not view.is_retired]


def _disagreeing(views: Iterable[Sequence[View]]) -> list[tuple[View, list[WaitOut]]]:
    """Return the crossings with whose status observations disagree, each with these."""
    disagreeing = [
        (view, [wait for wait in view.waits if wait.disagrees])
        for listed in views
        for view in listed
    ]
    return [(view, waits) for view, waits in disagreeing if waits]


def _zones(details: CrossingRecord) -> list[ZoneInfo]:
    """Return the time zone of each side at a crossing: a country may have several."""
    location = details.location
    near = None if location is None else Point(location.lat, location.lon)
    return Clocks(details.sides, near).zones


def _zone_choices(words: Words, crossings: Sequence[CrossingRecord]) -> list[ZoneChoice]:
    """Return every time zone of the crossings' sides, by country."""
    clocks = {
        (side, str(zone)): ZoneChoice(side, str(zone), words.place(zone))
        for details in crossings
        for side, zone in zip(details.sides, _zones(details), strict=True)
    }
    return [clocks[key] for key in sorted(clocks)]


def _script_texts(
    words: Words, countries: list[str], clocks: Sequence[ZoneChoice]
) -> dict[str, dict[str, str]]:
    """Return the texts that the script needs, in the reader's language."""
    return {
        "messages": {name: words.translate(message) for name, message in _MESSAGES.items()},
        "statuses": {status.value: words.word(status) for status in Status},
        "traffic": {traffic.value: words.word(traffic) for traffic in Traffic},
        "directions": {code: words.direction(code) for code in countries},
        "countries": {code: words.country(code) for code in countries},
        "places": {clock.zone: clock.place for clock in clocks},
    }
