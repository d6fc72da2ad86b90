"""US Customs and Border Protection: what its polls say, and what cannot be relied on."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import JsonValue

from app.importers.findings import BrokenPayload, Refusal
from tests.api import Json
from tests.importers.samples import (
    CLOSED,
    NOGALES,
    NONE,
    PEACE_BRIDGE,
    PENDING,
    SUMMER,
    WINTER,
    YSLETA,
    cbp,
    lanes,
    parse,
    port,
    readings,
    refusals,
    told,
    unknown,
)

NAME = "us-cbp"


def test_a_delay_is_a_wait_of_those_who_enter_the_united_states() -> None:
    (one,) = readings(NAME, cbp(port(car=lanes("25", "At 1:00 pm EDT", lanes_open="4"))))

    assert told(one) == {
        "crossing": "peace-bridge",
        "traffic": "car",
        "to": "US",
        "wait": {"state": "known", "minutes": 25},
        "lanes_open": 4,
        "observed_at": "2022-06-29T17:00:00Z",
        "method": "official",
    }


def test_each_group_is_of_its_traffic_and_priority_lanes_are_a_queue_of_their_own() -> None:
    given = lanes()
    payload = cbp(port(car=given, nexus=given, truck=given, fast=given, pedestrian=given))

    found = [(one["traffic"], one.get("queue")) for one in map(told, readings(NAME, payload))]

    assert found == [
        ("car", None),
        ("car", {"priority": True}),
        ("truck", None),
        ("truck", {"priority": True}),
        ("pedestrian", None),
    ]


def test_no_delay_may_have_minutes_or_none() -> None:
    some = lanes("5", operational_status="no delay")
    none = lanes("", operational_status="no delay")

    found = [told(one)["wait"] for one in readings(NAME, cbp(port(car=some, truck=none)))]

    assert found == [{"state": "known", "minutes": 5}, {"state": "known", "minutes": 0}]


@pytest.mark.parametrize(
    ("automation", "enabled", "method"),
    [
        ("Manual", "0", "official"),
        ("Bluetooth", "1", "sensor"),
        ("RFID", "1", "sensor"),
        ("RFID", "0", "official"),  # the devices are there, and staff enters the waits
    ],
)
def test_the_method_is_that_of_the_lanes(automation: str, enabled: str, method: str) -> None:
    given = port(car=lanes(), car_automation=automation, automation_enabled=enabled)

    (one,) = readings(NAME, cbp(given))

    assert told(one)["method"] == method


def test_a_method_that_is_not_known_is_refused() -> None:
    assert refusals(NAME, cbp(port(car=lanes(), car_automation="Guess"))) == {
        "car, standard lanes": "is measured by a method that is not known"
    }


# Lanes that are closed, or do not exist


def test_a_lane_is_closed_when_all_kinds_of_it_are() -> None:
    (standard, nexus) = readings(NAME, cbp(port(car=CLOSED, nexus=CLOSED)))

    assert told(standard) == {
        "crossing": "peace-bridge",
        "traffic": "car",
        "to": "US",
        "wait": {"state": "closed"},
        "lanes_open": 0,
        "observed_at": "2022-06-29T17:25:16Z",
        "method": "official",
    }
    assert told(nexus)["queue"] == {"priority": True}


def test_closed_standard_lanes_beside_open_ones_do_not_close_the_lane() -> None:
    payload = cbp(port(car=CLOSED, nexus=lanes()))

    assert [told(one)["queue"] for one in readings(NAME, payload)] == [{"priority": True}]
    assert refusals(NAME, payload) == {"car, standard lanes": "holds for the standard lanes alone"}


def test_lanes_that_do_not_exist_say_nothing() -> None:
    assert parse(NAME, cbp(port(car=NONE))) == []


# What cannot be relied on


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (PENDING, "has no value yet"),
        (lanes(""), "does not have a number of minutes"),
        (lanes("25 min"), "does not have a number of minutes"),
        (lanes("-5"), "does not have a number of minutes"),
        (lanes("٣"), "does not have a number of minutes"),
        (lanes("0"), "is a delay of no minutes"),
        (lanes(operational_status="Closed"), "is a status of lanes that is not known"),
        (lanes(update_time=""), "is not a time with its zone"),
        (lanes(update_time="At 13:00 pm EDT"), "is not a time with its zone"),
        (lanes(update_time="1:00 pm"), "is not a time with its zone"),
        ({**lanes(), "delay_minutes": 25}, "delay_minutes: must be text"),
        ({**lanes(), "lanes_open": None}, "lanes_open: must be text"),
    ],
)
def test_a_value_that_is_not_sure_is_refused(given: Json, reason: str) -> None:
    payload = cbp(port(car=given, truck=lanes()))

    assert [told(one)["traffic"] for one in readings(NAME, payload)] == ["truck"]
    assert refusals(NAME, payload) == {"car, standard lanes": reason}


def test_ready_lanes_are_refused() -> None:
    (refusal,) = parse(NAME, cbp(port(ready=lanes("30"))))

    assert isinstance(refusal, Refusal)
    assert (refusal.what, refusal.value) == ("car, ready lanes", "delay, 30")
    assert refusal.reason == "is of lanes for holders of certain documents"


def test_a_kind_of_lane_that_is_not_known_is_refused() -> None:
    given = port(car=lanes())
    group = given["passenger_vehicle_lanes"]
    assert isinstance(group, dict)
    changed: JsonValue = {**given, "passenger_vehicle_lanes": {**group, "flying_lanes": lanes()}}

    assert refusals(NAME, cbp(changed)) == {
        "car, flying lanes": "is a kind of lane that is not known"
    }


def test_a_port_that_is_not_open_is_told_and_changes_nothing() -> None:
    payload = cbp(port(car=lanes(), port_status="Closed"))

    assert len(readings(NAME, payload)) == 1
    assert refusals(NAME, payload) == {
        "port status": "says something of the status, which this feed may not"
    }


# Instants


@pytest.mark.parametrize(
    ("update_time", "observed_at"),
    [
        ("At Noon EDT", "2022-06-29T16:00:00Z"),
        ("At 1:25 pm EDT", "2022-06-29T17:25:00Z"),
        ("At 8:00 am EDT", "2022-06-29T12:00:00Z"),
        ("At 12:30 pm EDT", "2022-06-29T16:30:00Z"),
    ],
)
def test_a_time_of_day_is_the_last_one_before_the_poll(update_time: str, observed_at: str) -> None:
    (one,) = readings(NAME, cbp(port(car=lanes(update_time=update_time))))

    assert told(one)["observed_at"] == observed_at


def test_a_time_before_midnight_is_of_the_day_before() -> None:
    at = datetime(2022, 6, 29, 4, 25, tzinfo=UTC)  # 00:25 in New York
    given = lanes(update_time="At 11:50 pm EDT")
    at_midnight = lanes(update_time="At Midnight EDT")

    found = readings(NAME, cbp(port(at=at, car=given, truck=at_midnight)))

    assert [told(one)["observed_at"] for one in found] == [
        "2022-06-29T03:50:00Z",
        "2022-06-29T04:00:00Z",
    ]


@pytest.mark.parametrize("update_time", ["At 1:26 pm EDT", "At 3:00 pm EDT", "At 1:00 am EDT"])
def test_a_time_that_may_be_of_another_day_is_refused(update_time: str) -> None:
    payload = cbp(port(car=lanes(update_time=update_time)))

    assert refusals(NAME, payload) == {
        "car, standard lanes": "may be of yesterday or of the future: there is no date"
    }


@pytest.mark.parametrize(
    ("number", "zone", "at", "update_time"),
    [
        (PEACE_BRIDGE, "America/New_York", SUMMER, "At 1:00 pm EST"),
        (PEACE_BRIDGE, "America/New_York", WINTER, "At 1:00 pm EDT"),
        (PEACE_BRIDGE, "America/New_York", SUMMER, "At Noon CDT"),
        (NOGALES, "America/Phoenix", SUMMER, "At 10:00 am MDT"),
        (NOGALES, "America/Phoenix", SUMMER, "At 10:00 am PST"),
        (NOGALES, "America/Phoenix", WINTER, "At 10:00 am PST"),
    ],
)
def test_a_zone_that_contradicts_the_season_or_the_place_is_refused(
    number: str, zone: str, at: datetime, update_time: str
) -> None:
    payload = cbp(port(number, zone=zone, at=at, car=lanes(update_time=update_time)))

    assert refusals(NAME, payload) == {
        "car, standard lanes": f"has a zone that no clock in {zone} shows on that day"
    }


def test_arizona_has_no_summer_time() -> None:
    given = lanes(update_time="At 10:00 am MST")
    (one,) = readings(NAME, cbp(port(NOGALES, zone="America/Phoenix", car=given)))

    assert told(one)["observed_at"] == "2022-06-29T17:00:00Z"


@pytest.mark.parametrize(
    ("update_time", "observed_at"),
    [("At 1:30 am EDT", "2022-11-06T05:30:00Z"), ("At 1:30 am EST", "2022-11-06T06:30:00Z")],
)
def test_an_hour_that_a_night_has_twice_is_told_apart(update_time: str, observed_at: str) -> None:
    at = datetime(2022, 11, 6, 7, 0, tzinfo=UTC)

    (one,) = readings(NAME, cbp(port(at=at, car=lanes(update_time=update_time))))

    assert told(one)["observed_at"] == observed_at


def test_the_poll_is_when_most_ports_say() -> None:
    """Ports of Arizona show the clock of their neighbour."""
    strange = port(NOGALES, zone="America/Denver", car=lanes(update_time="At 10:00 am MST"))

    found = readings(NAME, cbp(strange, port(car=CLOSED), port(YSLETA, zone="America/Denver")))

    assert [told(one)["observed_at"] for one in found] == [
        "2022-06-29T17:00:00Z",
        "2022-06-29T17:25:16Z",
    ]


def test_ports_that_do_not_agree_on_the_poll_break_the_payload() -> None:
    with pytest.raises(BrokenPayload, match="do not agree on when the poll was"):
        parse(NAME, cbp(port(), port(YSLETA, at=SUMMER + timedelta(hours=5))))


@pytest.mark.parametrize(("name", "value"), [("date", "29.06.2022"), ("date", ""), ("time", "")])
def test_a_poll_without_an_instant_breaks_the_payload(name: str, value: str) -> None:
    with pytest.raises(BrokenPayload, match="does not say when the poll was"):
        parse(NAME, cbp({**port(car=lanes()), name: value}))


# Places


def test_places_that_are_not_ours_are_named() -> None:
    payload = cbp(port("999999", port_name="Nowhere", car=lanes()), port("070803"), port())

    assert unknown(NAME, payload) == ["999999", "070803"]
    assert readings(NAME, payload) == []


def test_a_port_that_stands_twice_is_refused_and_the_others_go_on() -> None:
    payload = cbp(
        port(car=lanes()), port(car=lanes("60")), port(YSLETA, zone="America/Denver", truck=CLOSED)
    )

    assert [told(one)["crossing"] for one in readings(NAME, payload)] == ["el-paso-ysleta"]
    assert refusals(NAME, payload) == {"port_number": "appears 2 times in the payload"}


def test_a_port_without_its_lanes_is_refused_and_the_others_go_on() -> None:
    broken = {name: value for name, value in port().items() if name != "pedestrian_lanes"}
    payload = cbp(broken, port(YSLETA, zone="America/Denver", truck=CLOSED), 7)

    assert len(readings(NAME, payload)) == 1
    assert [
        (one.place, one.reason) for one in parse(NAME, payload) if isinstance(one, Refusal)
    ] == [
        (PEACE_BRIDGE, "pedestrian_lanes: is required"),
        ("row 3", ": must be an object"),
    ]
