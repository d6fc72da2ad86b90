"""Observations are recorded once, listed, and told as waits while they are young."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from app.vocabulary import KeyScope
from tests.api import MEDININKAI, SUMSKAS, Api, citation, messages_of, problem
from tests.conftest import Database
from tests.observations.observing import (
    OBSERVATIONS,
    SOURCE,
    Body,
    ago,
    batch,
    known,
    listed,
    minutes_of,
    record,
    row,
    waits,
)
from tests.waiting import until

KEY = "3c1a2f9e"


async def newest_change(api: Api) -> int:
    return int((await api.get("/v1/crossings")).headers["change-number"])


# Recording


async def test_an_observation_is_listed_as_it_was_recorded(api: Api) -> None:
    queue = {
        "weight_kg": {"from": 3500, "to": 7500},
        "empty": True,
        "priority": False,
        "pre_booked": True,
        "goods": "perishable",
    }
    told = await record(
        api,
        row(
            traffic="truck",
            to="BY",
            queue=queue,
            observed_at="2026-11-20T10:00:00+02:00",
            wait=known(240),
            vehicles=120,
            lanes_open=2,
            moving=True,
            paused=True,
            estimate=True,
            method="queue_system",
        ),
    )

    (found,) = await listed(api)
    assert found == {
        "traffic": "truck",
        "to": "BY",
        "queue": queue,
        "wait": {"state": "known", "minutes": 240},
        "vehicles": 120,
        "lanes_open": 2,
        "moving": True,
        "paused": True,
        "estimate": True,
        "method": "queue_system",
        "source": told["source"],
        "source_name": "Border Guard",
        "observed_at": "2026-11-20T08:00:00Z",
        "shown_until": "2026-11-20T11:00:00Z",
        "supports": None,
        "crossing": MEDININKAI,
        "recorded_at": found["recorded_at"],
        "recorded_by": "reporter",
    }
    assert told == {"recorded": 1, "duplicates": 0, "source": told["source"], "change": 479}


async def test_without_an_instant_it_was_made_when_it_was_recorded(api: Api) -> None:
    await record(api, row())

    (found,) = await listed(api)
    assert found["observed_at"] == found["recorded_at"]


async def test_the_source_is_recorded_once_however_often_it_observes(api: Api) -> None:
    before = await newest_change(api)
    first = await record(api, row(), row(SUMSKAS))
    again = await record(api, row())
    other = await record(api, row(), source={**SOURCE, "title": "Others"})

    assert first["change"] == before + 1
    assert (again["source"], again["change"]) == (first["source"], None)
    assert other["source"] != first["source"]
    source = (await api.get(f"/v1/sources/{first['source']}")).json()
    assert {name: source[name] for name in SOURCE} == SOURCE
    assert await newest_change(api) == before + 2


async def test_a_source_that_is_recorded_is_given_by_its_id(api: Api) -> None:
    source = (await api.post("/v1/sources", {"title": "Ours"})).json()["id"]
    before = await newest_change(api)

    assert (await record(api, row(), source=source))["source"] == source
    assert await newest_change(api) == before


async def test_observations_are_no_changes(api: Api) -> None:
    await record(api, row())
    before = await newest_change(api)

    response = await api.post(OBSERVATIONS, batch(row()))

    assert await newest_change(api) == before
    assert "change-number" not in response.headers
    assert "location" not in response.headers


async def test_what_a_source_has_said_already_is_left_out_and_counted(api: Api) -> None:
    when = ago(minutes=10)
    queue = {"empty": True}
    first = [
        row(observed_at=when),
        row(observed_at=when, queue=queue),
        row(observed_at=when, to="BY"),
        row(observed_at=when, traffic="truck"),
        row(SUMSKAS, observed_at=when),
        row(observed_at=ago(minutes=9)),
    ]
    assert (await record(api, *first))["recorded"] == 6

    again = await record(api, *first, row(observed_at=when, wait=known(99)), row(SUMSKAS))

    assert (again["recorded"], again["duplicates"]) == (1, 7)
    assert 99 not in minutes_of(await listed(api))
    other = await record(api, row(observed_at=when), source={"title": "Another"})
    assert (other["recorded"], other["duplicates"]) == (1, 0)


async def test_a_row_twice_in_one_request_is_recorded_once(api: Api) -> None:
    when = ago(minutes=1)
    told = await record(api, *[row(observed_at=when)] * 3)

    assert (told["recorded"], told["duplicates"]) == (1, 2)


async def test_the_same_key_gets_the_first_answer_again(api: Api) -> None:
    first = await api.post(OBSERVATIONS, batch(row()), idempotency_key=KEY)
    again = await api.post(OBSERVATIONS, batch(row()), idempotency_key=KEY)
    other = await api.post(OBSERVATIONS, batch(row(to="BY")), idempotency_key=KEY)

    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["waits-as-of"] == first.headers["waits-as-of"]
    problem(other, 409, "idempotency-key-reused")
    assert len(await listed(api)) == 1


async def test_validate_only_tells_what_would_be_recorded_and_records_nothing(api: Api) -> None:
    when = ago(minutes=1)
    body = batch(row(observed_at=when), row(observed_at=when))
    before = await newest_change(api)

    preview = await api.post(OBSERVATIONS, body, validate_only="true")

    assert preview.status_code == 200
    assert preview.json() == {"recorded": 1, "duplicates": 1, "source": None, "change": None}
    assert (await listed(api), await waits(api)) == ([], [])
    assert await newest_change(api) == before


async def test_it_takes_a_key_that_may_write_observations_of_one_of_the_sides(
    api: Api, seeded: Database
) -> None:
    events = await seeded.new_key(KeyScope.EVENTS)
    polish = await seeded.new_key(KeyScope.OBSERVATIONS, sides=["PL"])
    lithuanian = await seeded.new_key(KeyScope.OBSERVATIONS, sides=["LT"])

    problem(await api.post(OBSERVATIONS, batch(row()), key=events), 403, "forbidden")
    problem(await api.post(OBSERVATIONS, batch(row()), key=polish), 403, "forbidden")
    problem(await api.client.post(OBSERVATIONS, json=batch(row())), 401, "unauthorized")
    assert (await api.post(OBSERVATIONS, batch(row()), key=lithuanian)).status_code == 201


async def test_batches_at_once_are_all_recorded_and_each_row_once(api: Api) -> None:
    """Even if they overlap, and bring the same new source."""
    rows = [row(observed_at=ago(seconds=number)) for number in range(40)]
    answers = await asyncio.gather(
        *(api.post(OBSERVATIONS, batch(*rows[start : start + 20])) for start in range(0, 21, 2))
    )

    assert {one.status_code for one in answers} == {201}
    assert len({one.json()["source"] for one in answers}) == 1
    assert sum(one.json()["recorded"] for one in answers) == 40
    assert len(await listed(api)) == 40


async def test_a_thousand_rows_are_one_request(api: Api) -> None:
    rows = [row(observed_at=ago(minutes=number)) for number in range(1_000)]

    assert (await record(api, *rows))["recorded"] == 1_000
    assert len(await listed(api, limit=200)) == 1_000


# The list


async def test_the_newest_come_first_over_all_lanes_and_on_every_page(api: Api) -> None:
    lanes = [("car", "LT"), ("car", "BY"), ("truck", "LT")]
    rows = [
        row(traffic=traffic, to=to, observed_at=ago(hours=hours), wait=known(hours))
        for hours in range(1, 30)
        for traffic, to in lanes
    ]
    await record(api, *rows)

    for limit in (7, 200):
        found = await listed(api, limit=limit)
        assert sorted((one["observed_at"] for one in found), reverse=True) == [
            one["observed_at"] for one in found
        ]
        assert len(found) == len(rows)
        assert len({(one["observed_at"], one["traffic"], one["to"]) for one in found}) == 87


async def test_the_list_is_narrowed_by_lane_and_period(api: Api) -> None:
    now = datetime.now(UTC)
    hours = {number: (now - timedelta(hours=number)).isoformat() for number in range(5)}
    await record(
        api,
        *(
            row(observed_at=instant, wait=known(number), to=to)
            for number, instant in hours.items()
            for to in ("LT", "BY")
        ),
    )

    assert minutes_of(await listed(api, to="BY", traffic="car")) == [0, 1, 2, 3, 4]
    period = {"from": hours[3], "until": hours[1]}
    assert minutes_of(await listed(api, to="LT", **period)) == [2, 3]
    assert await listed(api, traffic="truck") == []


async def test_observations_at_the_same_instant_are_each_on_one_page(api: Api) -> None:
    when = ago(minutes=5)
    queues = [{"weight_kg": {"from": 0, "to": number * 1_000}} for number in range(1, 12)]
    await record(api, *(row(traffic="truck", observed_at=when, queue=one) for one in queues))

    found = await listed(api, limit=2)

    assert sorted(one["queue"]["weight_kg"]["to"] for one in found) == [
        one["weight_kg"]["to"] for one in queues
    ]


async def test_a_lane_that_is_not_there_and_a_crossing_that_is_not(seeded_api: Api) -> None:
    for path in ("observations", "observations/summary"):
        here = f"/v1/crossings/{MEDININKAI}/{path}"
        problem(await seeded_api.get(here, traffic="train"), 404, "lane-not-found")
        problem(await seeded_api.get(here, to="PL"), 404, "lane-not-found")
        nowhere = await seeded_api.get(f"/v1/crossings/nowhere/{path}")
        problem(nowhere, 404, "crossing-not-found")
        turned = await seeded_api.get(
            here, **{"from": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"}
        )
        problem(turned, 422, "invalid")


# Waits


@pytest.mark.parametrize("address", ["", "/status"])
async def test_the_latest_of_each_lane_and_queue_is_told_with_the_status(
    api: Api, address: str
) -> None:
    await api.declare(crossings=[MEDININKAI], sides=["LT", "BY"], status="open")
    small, empty = {"weight_kg": {"to": 7500}}, {"weight_kg": {"from": 7500}, "empty": True}
    await record(
        api,
        row(observed_at=ago(hours=2), wait=known(10)),
        row(observed_at=ago(hours=1), wait=known(20)),
        row(traffic="truck", to="BY", queue=empty, wait=known(30)),
        row(traffic="truck", to="BY", queue=small, wait=known(40)),
        row(traffic="truck", to="BY", wait={"state": "unknown"}, vehicles=7),
    )

    told = (await api.get(f"/v1/crossings/{MEDININKAI}{address}")).json()

    found = told["waits"]
    assert [(one["traffic"], one["to"], one["wait"].get("minutes")) for one in found] == [
        ("car", "LT", 20),
        ("truck", "BY", None),
        ("truck", "BY", 40),
        ("truck", "BY", 30),
    ]
    assert [one["queue"] and one["queue"]["empty"] for one in found] == [None, None, False, True]
    assert found[1]["wait"] == {"state": "unknown"}
    if not address:
        assert told["now"]["waits"] == found


async def test_of_two_sources_the_one_that_looked_last_is_told(api: Api) -> None:
    await record(api, row(observed_at=ago(minutes=5), wait=known(5)))
    await record(api, row(observed_at=ago(minutes=9), wait=known(9)), source={"title": "Other"})

    assert minutes_of(await waits(api)) == [5]


async def test_late_word_of_an_earlier_instant_is_listed_and_not_told_as_the_latest(
    api: Api,
) -> None:
    await record(api, row(observed_at=ago(minutes=5), wait=known(5)))
    await record(api, row(observed_at=ago(minutes=9), wait=known(9)))

    assert minutes_of(await waits(api)) == [5]
    assert minutes_of(await listed(api)) == [5, 9]


async def test_lists_of_crossings_and_features_and_borders_tell_waits(api: Api) -> None:
    await record(api, row())

    (item,) = [
        one
        for one in (await api.get("/v1/crossings", border="BY-LT")).json()["items"]
        if one["id"] == MEDININKAI
    ]
    features = (await api.get("/feeds/crossings.geojson", border="BY-LT")).json()["features"]
    (feature,) = [one for one in features if one["id"] == MEDININKAI]
    border = (await api.get("/v1/borders/BY-LT")).json()
    (placed,) = [one for one in border["crossings"] if one["id"] == MEDININKAI]
    found = (await api.get(f"/v1/crossings/{SUMSKAS}/alternatives")).json()["items"]
    (other,) = [one for one in found if one["id"] == MEDININKAI]
    told = await waits(api)
    assert minutes_of(told) == [35]
    assert item["waits"] == feature["properties"]["waits"] == placed["waits"] == told
    assert other["waits"] == told


async def test_a_question_about_some_lanes_has_their_waits_alone(api: Api) -> None:
    await record(api, row(to="LT", wait=known(1)), row(to="BY", wait=known(2)))

    assert minutes_of(await waits(api, to="BY")) == [2]
    assert minutes_of(await waits(api, traffic="truck")) == []


async def test_an_old_wait_is_no_wait(api: Api) -> None:
    await record(api, row(observed_at=ago(hours=3, seconds=1)))

    assert await waits(api) == []
    assert len(await listed(api)) == 1


async def test_a_wait_goes_by_itself_when_it_is_too_old(seeded: Database) -> None:
    async with seeded.api(wait_max_age=60) as api:
        await record(api, row(observed_at=ago(seconds=57)))
        (wait,) = await waits(api)
        gone_at = datetime.fromisoformat(wait["shown_until"])

        async def is_gone() -> bool:
            return await waits(api) == []

        await until(is_gone)

        assert datetime.now(UTC) >= gone_at
        for at, shown in ((gone_at - timedelta(seconds=1), 1), (gone_at, 0)):
            assert len(await waits(api, at=at.isoformat())) == shown


async def test_the_three_states_of_a_wait_are_told_apart(api: Api) -> None:
    await api.declare(crossings=[MEDININKAI], sides=["LT", "BY"], status="open")
    await record(
        api,
        row(traffic="car", wait=known(0)),
        row(traffic="bus", wait={"state": "closed"}, lanes_open=0),
        row(traffic="truck", wait={"state": "unknown"}),
    )

    assert [one["wait"] for one in await waits(api)] == [
        {"state": "known", "minutes": 0},
        {"state": "closed"},
        {"state": "unknown"},
    ]


async def test_a_lane_that_is_closed_has_no_wait_whatever_was_observed(api: Api) -> None:
    await api.declare(crossings=[MEDININKAI], sides=["LT", "BY"], status="open")
    await record(api, row(to="LT", vehicles=80), row(to="BY"))
    await api.declare(crossings=[MEDININKAI], sides=["LT"], to="LT")

    to_belarus, to_lithuania = await waits(api)

    assert to_belarus["wait"] == known(35)
    assert (to_lithuania["wait"], to_lithuania["vehicles"]) == ({"state": "closed"}, 80)
    assert minutes_of(await listed(api, to="LT")) == [35]


async def test_no_observation_changes_a_status(api: Api) -> None:
    before = await api.status(MEDININKAI)
    for method in ("official", "sensor", "camera", "queue_system", "reported", "derived"):
        await record(api, row(method=method, moving=True), row(to="BY", wait={"state": "closed"}))

    after = await api.status(MEDININKAI)

    assert {**after, "waits": []} == before
    assert (await listed(api, to="LT"))[0]["supports"] is None
    assert (await listed(api, to="LT"))[-1]["supports"] == "open"


# The past


async def test_a_past_instant_has_the_waits_of_that_instant(api: Api) -> None:
    await record(
        api,
        *(row(observed_at=ago(hours=hours), wait=known(hours)) for hours in (1, 2, 10, 30)),
    )

    for hours, minutes in ((0.5, [1]), (1.5, [2]), (4, []), (9.5, [10]), (12.5, []), (31, [])):
        assert minutes_of(await waits(api, at=ago(hours=hours))) == minutes
    found = (await api.get("/v1/crossings", at=ago(hours=9.5), id=MEDININKAI)).json()["items"]
    assert minutes_of(found[0]["waits"]) == [10]
    border = (await api.get("/v1/borders/BY-LT", at=ago(hours=9.5))).json()["crossings"]
    assert [minutes_of(one["waits"]) for one in border if one["id"] == MEDININKAI] == [[10]]


async def test_what_was_recorded_later_was_not_known_then(api: Api) -> None:
    await record(api, row(observed_at=ago(minutes=30), wait=known(30)))
    (first,) = await listed(api)
    await record(api, row(observed_at=ago(minutes=20), wait=known(20)))
    at, known_at = ago(minutes=10), first["recorded_at"]
    before = (datetime.fromisoformat(known_at) - timedelta(microseconds=1)).isoformat()

    assert minutes_of(await waits(api, at=at)) == [20]
    assert minutes_of(await waits(api, at=at, known_at=known_at)) == [30]
    assert minutes_of(await waits(api, known_at=known_at)) == [30]
    assert await waits(api, at=at, known_at=before) == []


async def test_what_is_known_at_a_change_is_known_until_the_next(api: Api) -> None:
    """An answer that names both instants is for good only once there is a next one."""
    number = (await record(api, row(observed_at=ago(minutes=30), wait=known(30))))["change"]
    asked: dict[str, str | int] = {"at": ago(minutes=10), "known_change": number}
    path = f"/v1/crossings/{MEDININKAI}/status"
    assert minutes_of(await waits(api, MEDININKAI, **asked)) == [30]
    assert (await api.get(path, **asked)).headers["cache-control"] == "public, no-cache"

    await record(api, row(observed_at=ago(minutes=20), wait=known(20)))
    assert minutes_of(await waits(api, MEDININKAI, **asked)) == [20]
    assert await waits(api, MEDININKAI, **{**asked, "known_change": number - 1}) == []

    await api.post("/v1/sources", {"title": "The next change"})
    await record(api, row(observed_at=ago(minutes=15), wait=known(15)))
    assert minutes_of(await waits(api, MEDININKAI, **asked)) == [20]
    assert (await api.get(path, **asked)).headers["cache-control"] == "public, max-age=3600"


# The summary


async def test_the_summary_is_by_hour_of_the_week_where_the_traffic_waits(api: Api) -> None:
    """Cars to Lithuania wait in Belarus, which is an hour ahead of Vilnius in winter."""
    monday = datetime(2026, 11, 16, 6, 30, tzinfo=UTC)
    told = await record(
        api,
        *(
            row(observed_at=(monday + timedelta(minutes=number)).isoformat(), wait=wait)
            for number, wait in enumerate(
                [*(known(minutes) for minutes in range(10, 110, 10)), *[{"state": "unknown"}] * 4]
            )
        ),
        *(
            row(observed_at=(monday + timedelta(hours=26, minutes=number)).isoformat(), wait=wait)
            for number, wait in enumerate([{"state": "closed"}, {"state": "unknown"}])
        ),
        row(observed_at=(monday + timedelta(days=6, hours=17)).isoformat(), wait=known(7)),
        row(observed_at=monday.isoformat(), to="BY", wait=known(5)),
    )
    period = {"from": "2026-11-16T00:00:00Z", "until": "2026-11-23T00:00:00Z"}
    path = f"/v1/crossings/{MEDININKAI}/observations/summary"

    found = (await api.get(path, **period)).json()

    assert {name: found[name] for name in ("crossing", "from", "until")} == {
        "crossing": MEDININKAI,
        **period,
    }
    to_lithuania, to_belarus = found["series"]
    assert {name: value for name, value in to_lithuania.items() if name != "hours"} == {
        "traffic": "car",
        "to": "LT",
        "queue": None,
        "source": told["source"],
        "time_zone": "Europe/Minsk",
    }
    assert to_lithuania["hours"] == [
        hour(1, 2, count=1, median_minutes=7, p90_minutes=7),
        hour(
            1, 9, count=14, median_minutes=55, p90_minutes=91, unknown_share=pytest.approx(4 / 14)
        ),
        hour(2, 11, count=2, unknown_share=0.5, closed_share=0.5),
    ]
    assert (to_belarus["time_zone"], to_belarus["hours"][0]["hour"]) == ("Europe/Vilnius", 8)
    narrowed = (await api.get(path, to="BY", traffic="car", **period)).json()
    assert narrowed["series"] == [to_belarus]


def hour(weekday: int, number: int, **figures: object) -> Body:
    return {
        "weekday": weekday,
        "hour": number,
        "median_minutes": None,
        "p90_minutes": None,
        "unknown_share": 0,
        "closed_share": 0,
        **figures,
    }


async def test_a_summary_is_of_four_weeks_and_of_a_quarter_at_most(api: Api) -> None:
    path = f"/v1/crossings/{MEDININKAI}/observations/summary"
    await record(api, row(observed_at=ago(days=27)), row(observed_at=ago(days=29)))

    (series,) = (await api.get(path)).json()["series"]

    assert sum(one["count"] for one in series["hours"]) == 1
    problem(await api.get(path, **{"from": ago(days=93)}), 422, "invalid")
    assert (await api.get(path, **{"from": ago(days=91)})).status_code == 200


async def test_a_retired_crossing_is_not_observed_any_more(api: Api) -> None:
    retired = {"retired_at": ago(days=1), "citations": [citation()]}
    assert (await api.patch(f"/v1/crossings/{MEDININKAI}", retired)).status_code == 200

    refused = problem(await api.post(OBSERVATIONS, batch(row())), 422, "invalid")

    assert messages_of(refused) == [f"{MEDININKAI} is retired"]
    assert await listed(api) == []
