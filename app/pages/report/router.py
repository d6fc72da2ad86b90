"""HTTP of the page on which reporters tell of a change."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Response

from app.errors import Unavailable
from app.http.bodies import sides_of
from app.http.problems import RETRY_AFTER
from app.pages.rendering import CurrentReader, page
from app.pages.words import N_, Words
from app.pages.zones import zone_of
from app.places.schemas import CrossingRecord
from app.vocabulary import (
    Certainty,
    DeclaredStatus,
    ExceptionCode,
    ReasonCode,
    SourceKind,
    Status,
    Traffic,
)

router = APIRouter()

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
    "lost": N_(
        "No answer arrived. The report may or may not have been published; it is safe to send it"
        " again."
    ),
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
"""What the script says."""
_EVERY_CROSSING = 1_000_000


@dataclass(frozen=True, slots=True)
class Clock:
    """A side's zone, to tell instants in."""

    country: str
    zone: str
    place: str


@router.get("/report")
async def report(
    reader: CurrentReader,
    crossing: Annotated[list[str] | None, Query()] = None,
) -> Response:
    """Give the form; some crossings may be chosen in it already."""
    if not reader.board.is_loaded:
        raise Unavailable("The board is still being loaded.", headers={"Retry-After": RETRY_AFTER})
    borders: dict[str, list[CrossingRecord]] = {}
    for border in reader.board.borders(after=None, limit=_EVERY_CROSSING):
        views = reader.board.views_of(border, reader.moment)
        borders[border] = [view.present.told for view in views]
    chosen = crossing or []
    countries = sorted({code for border in borders for code in sides_of(border)})
    return page(
        reader,
        "report.html",
        borders=borders,
        clocks=[_clock(reader.words, code) for code in countries],
        example=_example(borders, chosen),
        chosen=chosen,
        told=_told(reader.words, countries),
        Certainty=Certainty,
        DeclaredStatus=DeclaredStatus,
        ExceptionCode=ExceptionCode,
        ReasonCode=ReasonCode,
        SourceKind=SourceKind,
        Traffic=Traffic,
    )


def _example(
    borders: Mapping[str, Sequence[CrossingRecord]], chosen: Sequence[str]
) -> CrossingRecord | None:
    """Return the first that is chosen, else any crossing; None where there is none yet."""
    known = [one for crossings in borders.values() for one in crossings]
    return next((one for one in known if one.id in chosen), next(iter(known), None))


def _clock(words: Words, country: str) -> Clock:
    zone = zone_of(country)
    return Clock(country, str(zone), words.place(zone))


def _told(words: Words, countries: list[str]) -> dict[str, dict[str, str]]:
    """Return the words that the script needs, in the reader's language."""
    return {
        "messages": {name: words.say(message) for name, message in _MESSAGES.items()},
        "statuses": {one.value: words.word(one) for one in Status},
        "traffic": {one.value: words.word(one) for one in Traffic},
        "directions": {code: words.direction(code) for code in countries},
        "countries": {code: words.country(code) for code in countries},
    }
