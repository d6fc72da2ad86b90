"""Which changes concern a follower: the rule, and its short cut in SQL against it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, text

from app.changes.filters import Filter
from app.changes.models import Change
from app.changes.service import hashed_record, matching_changes
from app.database.driver import fetch
from app.vocabulary import ChangeKind, Traffic
from tests.api import MEDININKAI, SUMSKAS
from tests.conftest import Database

Body = dict[str, Any]


class Numbered(NamedTuple):
    number: int


HERE, THERE = "here", "there"
CAR_IN = {"traffic": "car", "to": "LT"}


def record(
    kind: str = "decision", payload: Body | None = None, **subjects: Sequence[str]
) -> dict[str, object]:
    return {"change": 1, "kind": kind, "subjects": subjects, "payload": payload or {}}


def event(
    crossing: str = HERE, traffic: list[str] | None = None, to: str | None = None
) -> dict[str, object]:
    return {"crossing": crossing, "traffic": traffic, "to": to}


def answer(crossing: str, *lanes: Body) -> Body:
    """Return how the answer about a crossing changes: in these lanes."""
    return {"crossing": crossing, "lanes": list(lanes)}


names = st.sampled_from(["a", "b", "c"])
subjects = st.dictionaries(
    st.sampled_from(["crossings", "borders", "countries", "sources"]),
    st.lists(names, unique=True),
)
kinds = st.sampled_from(ChangeKind)
traffic = st.sampled_from([Traffic.CAR, Traffic.BUS, Traffic.TRUCK])
countries = st.sampled_from(["LT", "BY", "PL"])
events = st.builds(
    event, st.sampled_from([HERE, THERE]), st.none() | st.lists(traffic), st.none() | countries
)
lanes = st.lists(
    st.fixed_dictionaries({"traffic": traffic, "to": countries}),
    unique_by=lambda lane: (lane["traffic"], lane["to"]),
)
answers = st.builds(
    lambda crossing, lanes: answer(crossing, *lanes), st.sampled_from([HERE, THERE]), lanes
)
payloads = st.fixed_dictionaries({"events": st.lists(events), "answers": st.lists(answers)})
records = st.builds(
    lambda kind, subjects, payload: record(kind, payload, **subjects), kinds, subjects, payloads
)
some = st.frozensets(names)
subject_filters = st.builds(Filter, some, some, some, st.frozensets(kinds))


@given(records)
def test_without_a_filter_every_change_concerns(told: Body) -> None:
    assert Filter().matches(told)


@given(records, subject_filters)
def test_it_takes_one_of_each_sort_that_is_named(told: Body, wanted: Filter) -> None:
    touched = told["subjects"]

    assert wanted.matches(told) == (
        (not wanted.crossings or bool(wanted.crossings & set(touched.get("crossings", []))))
        and (not wanted.borders or bool(wanted.borders & set(touched.get("borders", []))))
        and (not wanted.countries or bool(wanted.countries & set(touched.get("countries", []))))
        and (not wanted.kinds or told["kind"] in wanted.kinds)
    )


@given(records, st.none() | traffic, st.none() | countries)
def test_it_concerns_a_lane_by_what_is_said_of_it_or_by_how_its_answer_changes(
    told: Body, category: Traffic | None, to: str | None
) -> None:
    """Looked at lane by lane: those of every category and country that there are."""
    wanted = [
        (one, into)
        for one in (Traffic.CAR, Traffic.BUS, Traffic.TRUCK)
        for into in ("LT", "BY", "PL")
        if category in {None, one} and to in {None, into}
    ]
    said = any(
        (one["traffic"] is None or lane[0] in one["traffic"] or (category is None))
        and one["to"] in {None, lane[1]}
        for one in told["payload"]["events"]
        for lane in wanted
    )
    otherwise = any(
        (lane["traffic"], lane["to"]) in wanted
        for one in told["payload"]["answers"]
        for lane in one["lanes"]
    )
    asked = Filter(traffic=category, to=to)

    if asked.filters_lanes:
        assert asked.matches(told) == (said or otherwise)


def test_what_concerns_no_lane_does_not_match_a_lane() -> None:
    source = record("source", {"sources": []}, sources=["x"])

    assert not Filter(traffic=Traffic.CAR).matches(source)
    assert not Filter(to="LT").matches(source)


def test_of_a_change_of_many_crossings_only_the_lanes_of_the_named_ones_count() -> None:
    told = record(
        payload={
            "events": [event(HERE, ["bus"]), event(THERE, ["car"], "LT")],
            "answers": [
                answer(HERE),
                answer(THERE, CAR_IN),
            ],
        },
        crossings=[HERE, THERE],
    )

    assert Filter(traffic=Traffic.CAR).matches(told)
    assert Filter(crossings=frozenset([THERE]), traffic=Traffic.CAR, to="LT").matches(told)
    assert not Filter(crossings=frozenset([HERE]), traffic=Traffic.CAR).matches(told)


def test_one_and_the_same_event_must_be_said_of_the_traffic_and_of_the_direction() -> None:
    told = record(payload={"events": [event(traffic=["car"], to="BY"), event(traffic=["bus"])]})

    assert not Filter(traffic=Traffic.CAR, to="LT").matches(told)
    assert Filter(traffic=Traffic.BUS, to="LT").matches(told)


@pytest.mark.parametrize(
    "wanted",
    [
        Filter(),
        Filter(crossings=frozenset([SUMSKAS])),
        Filter(crossings=frozenset([SUMSKAS, MEDININKAI]), kinds=frozenset([ChangeKind.DECISION])),
        Filter(borders=frozenset(["BY-LT"]), countries=frozenset(["LV", "LT"])),
        Filter(countries=frozenset(["PL"]), kinds=frozenset([ChangeKind.NOTICE])),
        Filter(traffic=Traffic.TRUCK, to="PL"),
        Filter(crossings=frozenset(["nowhere"])),
    ],
)
async def test_the_short_cut_in_sql_keeps_all_that_match(seeded: Database, wanted: Filter) -> None:
    """And nothing else, but for lanes."""
    async with seeded.session() as session:
        everything = (await session.scalars(select(Change))).all()
        condition, parameters = wanted.sql_condition()
        statement = f"SELECT number FROM change WHERE {condition}"  # noqa: S608  # nothing from outside
        narrowed = await fetch(session, Numbered, statement, parameters)

    matching = {one.number for one in everything if wanted.matches(hashed_record(one))}
    kept = {one.number for one in narrowed}
    assert matching <= kept
    if not wanted.filters_lanes:
        assert matching == kept
    assert bool(matching) == (wanted.crossings != {"nowhere"})


@pytest.mark.parametrize(("names", "plans"), [(3, 1), (4, 1), (5, 0), (200, 0)])
async def test_only_for_few_names_does_the_database_keep_a_plan(
    seeded: Database, names: int, plans: int
) -> None:
    """Each number of names is another statement, and strangers choose the number."""
    wanted = Filter(crossings=frozenset(f"crossing-{number}" for number in range(names)))
    kept = "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%subjects @>%'"
    async with seeded.session() as session:
        for _ in range(10):
            await matching_changes(session, wanted, after=0, limit=1)
        assert await session.scalar(text(kept)) == plans
