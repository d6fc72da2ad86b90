"""What is said of a change: the present answer for the vehicle, in the reader's language."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.alerts.push import MAX_PAYLOAD
from app.changes.service import take_snapshot
from app.crossings.plans import Plan, plans_of
from app.crossings.sentence import sentence
from app.http.origin import query_of
from app.http.parameters import AsOf
from app.languages.languages import ENGLISH, LANGUAGES
from app.languages.words import N_, Words
from app.places.details import Details
from app.places.zones import Clocks
from app.status.histories import CrossingHistory, load_histories
from app.status.rule.upcoming import upcoming
from app.status.schemas import StatusOut
from app.status.summaries import Summary, status_out
from app.vocabulary import Certainty, Mode, Status, Traffic

_CLIPPED = "…"
_MOST_PLANS = 3


@dataclass(frozen=True, slots=True)
class Audience:
    """Who is told: a category of traffic and the country that it enters; None is any."""

    traffic: str | None
    to: str | None

    @property
    def lane_filter(self) -> tuple[Traffic | None, str | None]:
        return (None if self.traffic is None else Traffic(self.traffic)), self.to

    def whom(self, words: Words) -> str:
        """Say for whom it is, as `Words.for_whom` does; empty for everyone."""
        traffic, to = self.lane_filter
        return words.for_whom([] if traffic is None else [traffic], [] if to is None else [to])


@dataclass(frozen=True, slots=True)
class CrossingNews:
    """What holds at a crossing for a vehicle, and what is announced."""

    details: Details
    status: StatusOut
    plans: Sequence[Plan]
    instant: datetime

    @property
    def clocks(self) -> Clocks:
        """The clocks of both sides, in the order of their names."""
        return Clocks(
            list(dict.fromkeys(name.side for name in self.details.names)), self.details.point
        )


@dataclass(frozen=True, slots=True)
class Item:
    """What is said of one crossing: a title, a text, and the path of its page."""

    title: str
    text: str
    path: str


@dataclass(frozen=True, slots=True)
class AlertMessage:
    """What somebody is told: of one crossing, or of several."""

    language: str
    title: str
    items: Sequence[Item]
    path: str
    """Of the page that shows all of it."""

    @property
    def text(self) -> str:
        """The text below the title, in a few lines."""
        if len(self.items) == 1:
            return self.items[0].text
        return "\n".join(item.title for item in self.items)

    def payload(self, *, root: str, tag: str) -> bytes:
        """Return it for the service worker of a browser; ``root`` is the path of the service.

        A notification replaces an earlier one with the same ``tag``.
        """
        fields = {"title": self.title, "lang": self.language, "path": root + self.path, "tag": tag}
        text = self.text
        while True:
            payload = json.dumps({**fields, "body": text}, ensure_ascii=False).encode()
            if len(payload) <= MAX_PAYLOAD or not text:
                return payload
            text = text[: len(text) * 9 // 10].rstrip(f" \n{_CLIPPED}") + _CLIPPED


async def load_news(
    session: AsyncSession, crossings: Collection[str], vehicle: Audience
) -> Mapping[str, CrossingNews]:
    """Return what holds now, for each of the crossings that the vehicle can use."""
    snapshot = await take_snapshot(session, AsOf())

    def news(history: CrossingHistory) -> CrossingNews | None:
        lanes = history.details.lanes_for(*vehicle.lane_filter)
        if not lanes:
            return None
        summary = Summary.of(history, snapshot.now, lanes)
        status = status_out(summary, history.events, [])
        announced = upcoming(summary.declared, snapshot.now)
        plans = plans_of(announced, history.details, history.events)
        return CrossingNews(history.details, status, plans, snapshot.now)

    answers = await load_histories(session, sorted(crossings), snapshot, news)
    return {crossing: answer for crossing, answer in answers.items() if answer is not None}


def words_of(language: str) -> Words:
    """Return the words of a language; English for one that the service no longer has."""
    return Words(LANGUAGES.get(language, LANGUAGES[ENGLISH]))


def message_of(words: Words, news: Sequence[CrossingNews], vehicle: Audience) -> AlertMessage:
    """Say what holds at each of the crossings, of which there is at least one."""
    items = [_item(words, crossing, vehicle) for crossing in news]
    language = words.language.code
    if len(items) == 1:
        return AlertMessage(language, items[0].title, items, items[0].path)
    borders = {crossing.details.border for crossing in news}
    if len(borders) == 1:
        (border,) = borders
        path = _path(f"/borders/{border}", words, vehicle)
        return AlertMessage(language, words.border(border), items, path)
    title = words.translate(N_("Border crossings"))
    return AlertMessage(language, title, items, _path("/", words, vehicle))


def _item(words: Words, news: CrossingNews, vehicle: Audience) -> Item:
    name = name_of(words, news.details)
    verdict = " ".join(filter(None, [words.title_word(news.status.status), vehicle.whom(words)]))
    texts = [
        _answer(words, news, vehicle),
        *(_plan(words, news, plan) for plan in news.plans[:_MOST_PLANS]),
    ]
    path = _path(f"/crossings/{news.details.id}", words, vehicle)
    return Item(f"{name}: {verdict}", " ".join(texts), path)


def name_of(words: Words, details: Details) -> str:
    return words.crossing_of(details.names, Mode(details.version.mode))


def _answer(words: Words, news: CrossingNews, vehicle: Audience) -> str:
    zones, whom = news.clocks.zones, vehicle.whom(words)
    said = sentence(words, news.status, whom, zones, news.instant)
    if not said:
        return words.translate(N_("We have no information about this crossing."))
    if news.status.status is Status.UNKNOWN:
        warning = words.translate(N_("Nobody has confirmed this lately. Don't rely on it."))
        return f"{warning} {said}"
    return said


def _plan(words: Words, news: CrossingNews, plan: Plan) -> str:
    zones = news.clocks.zones_of(plan.sides)
    start = words.instant(plan.start, zones, plan.precision).striptags()
    status = words.word(plan.status)
    if plan.end is None:
        text = words.translate(N_("From %(start)s: %(status)s"), start=start, status=status)
    else:
        end = words.end(plan.end, zones, plan.precision).striptags()
        text = words.translate(
            N_("From %(start)s until %(end)s: %(status)s"), start=start, end=end, status=status
        )
    whom = " · ".join(words.for_whom(traffic, to) for traffic, to in plan.scopes)
    certainty = "" if plan.certainty is Certainty.CONFIRMED else f"({words.word(plan.certainty)})"
    return " ".join(filter(None, [text, whom, certainty])) + "."


def _path(path: str, words: Words, vehicle: Audience) -> str:
    query = {"lang": words.language.code, "traffic": vehicle.traffic, "to": vehicle.to}
    return path + query_of(more=query)
