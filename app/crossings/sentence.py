"""The answer in one sentence: what, for whom, since and until when, who says so, how old. Pure."""

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from app.languages.words import N_, Words
from app.status.schemas import StatusOut
from app.vocabulary import Status


def sentence(
    words: Words, status: StatusOut, whom: str, zones: Sequence[ZoneInfo], now: datetime
) -> str:
    """Return the answer as known at ``now``, with dates by the clocks of ``zones``.

    ``whom`` says for whom it is, as `Words.for_whom` does; it is empty for everyone. Of an unknown
    status it is the last that was known; without any it is empty.
    """
    known = status.last_known or status.status
    if known is Status.UNKNOWN or not status.decided_by:
        return ""
    if status.last_known:
        clauses = [words.translate(N_("Last known: %(status)s"), status=words.word(known))]
    else:
        verdict = [words.title_word(known), whom, _since(words, status, zones)]
        clauses = [" ".join(filter(None, verdict)), _until(words, status, zones)]
    sides = list(dict.fromkeys(side for event in status.decided_by for side in event.sides))
    clauses.append(words.says(sides))
    return f"{', '.join(clauses)}. {_confirmed(words, status, now)}"


def _since(words: Words, status: StatusOut, zones: Sequence[ZoneInfo]) -> str:
    if status.since is None:
        return ""
    return f"{words.translate(N_('since'))} {words.day(status.since, zones)}"


def _until(words: Words, status: StatusOut, zones: Sequence[ZoneInfo]) -> str:
    if status.until is not None:
        return words.translate(N_("until %(date)s"), date=_end(words, status, zones))
    if status.overdue:
        return words.translate(N_("although the announced end has passed"))
    if status.expected_until is not None:
        date = words.day(status.expected_until, zones)
        return words.translate(N_("expected until %(date)s"), date=date)
    return words.translate(N_("until further notice"))


def _end(words: Words, status: StatusOut, zones: Sequence[ZoneInfo]) -> str:
    assert status.until is not None  # it is asked for only then
    ending = (
        event.precision
        for event in status.decided_by
        if event.effective is not None and event.effective.until == status.until
    )
    return words.end(status.until, zones, next(ending, None)).striptags()


def _confirmed(words: Words, status: StatusOut, now: datetime) -> str:
    if status.last_confirmed_at is None:
        return words.translate(N_("Not confirmed."))
    return words.translate(N_("Confirmed %(ago)s."), ago=words.ago(status.last_confirmed_at, now))
