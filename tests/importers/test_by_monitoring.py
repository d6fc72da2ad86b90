"""Belarus's electronic queue: vehicles are counted, and their number plates are forgotten."""

import json
import logging
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from app.importers.findings import BrokenPayload
from app.importers.importer import importers
from app.importers.running import describe as line
from tests.api import Json
from tests.importers.conftest import Imports
from tests.importers.samples import parse, readings, refusals, told, unknown

NAME = "by-monitoring"
BREST, BENYAKONI = "a9173a85-3fc0-424c-84f0-defa632481e4", "53d94097-2b34-11ec-8467-ac1f6bf889c0"
PLATE = "PLATE4711"
ARRIVED, CALLED, CANCELLED = 2, 3, 9
AT = datetime(2024, 9, 30, 12, 41, 22, tzinfo=UTC)
"""15:41:22 in Minsk."""


def local(at: datetime) -> datetime:
    return at.astimezone(ZoneInfo("Europe/Minsk"))


def vehicle(
    status: int = ARRIVED,
    registered: datetime = AT - timedelta(hours=5),
    changed: datetime | None = None,
    **fields: JsonValue,
) -> Json:
    return {
        "regnum": PLATE,
        "status": status,
        "order_id": 1,
        "type_queue": 3,
        "registration_date": f"{local(registered):%H:%M:%S %d.%m.%Y}",
        "changed_date": f"{local(changed or registered):%H:%M:%S %d.%m.%Y}",
        **fields,
    }


def monitoring(
    queues: Mapping[str, object] | None = None, *, checkpoint: object = BREST, at: datetime = AT
) -> bytes:
    """Return a payload of a checkpoint: its queues are empty but for those that are given."""
    empty: dict[str, object] = {
        f"{kind}{queue}": []
        for kind in ("truck", "bus", "car", "motorcycle")
        for queue in ("LiveQueue", "Priority")
    }
    payload = {
        "info": {"id": checkpoint, "nameEn": "Brest BTS", "isBts": 1, "name": "Брест"},
        "truckGpk": [],
        **empty,
        **(queues or {}),
        "datetime": f"{local(at):%Y-%m-%d %H:%M:%S.%f}",
    }
    return json.dumps(payload, ensure_ascii=False).encode()


SAMPLE = monitoring({"carLiveQueue": [vehicle(), vehicle(CALLED, changed=AT), vehicle(CANCELLED)]})


def test_those_who_arrived_wait_to_leave_belarus() -> None:
    three = [vehicle(), vehicle(), vehicle(CANCELLED), vehicle()]

    (bus, _, car, priority) = readings(NAME, monitoring({"carLiveQueue": three}))

    assert told(car) == {
        "crossing": "terespol-brest",
        "traffic": "car",
        "to": "PL",
        "vehicles": 3,
        "observed_at": "2024-09-30T12:41:22Z",
        "method": "queue_system",
    }
    assert told(bus) == told(car) | {"traffic": "bus", "vehicles": 0}
    assert told(priority) == told(car) | {"queue": {"priority": True}, "vehicles": 0}


def test_the_wait_is_that_of_the_one_called_last() -> None:
    called = [
        vehicle(CALLED, AT - timedelta(hours=9), AT - timedelta(minutes=40)),
        vehicle(CALLED, AT - timedelta(hours=19), AT - timedelta(minutes=7)),
        vehicle(),
    ]

    (one,) = [
        found
        for found in readings(NAME, monitoring({"busLiveQueue": called}))
        if found.what == "busLiveQueue"
    ]

    assert told(one)["wait"] == {"state": "known", "minutes": 19 * 60 - 7}
    assert (told(one)["vehicles"], told(one)["method"]) == (1, "derived")
    assert told(one)["estimate"]


def test_who_was_called_long_ago_says_nothing_of_the_wait_now() -> None:
    called = [vehicle(CALLED, AT - timedelta(hours=9), AT - timedelta(minutes=61))]

    for one in readings(NAME, monitoring({"carLiveQueue": called})):
        assert "wait" not in told(one)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"changed_date": "now"}, "has a time that is not known"),
        ({"registration_date": "15:00:00 30.09.2025"}, "has times that contradict each other"),
    ],
)
def test_a_wait_that_is_not_sure_is_refused_and_the_others_are_counted(
    fields: dict[str, JsonValue], reason: str
) -> None:
    called = {**vehicle(CALLED, changed=AT - timedelta(minutes=1)), **fields}
    payload = monitoring({"carLiveQueue": [called, vehicle()]})

    (one,) = [found for found in readings(NAME, payload) if found.what == "carLiveQueue"]

    assert (told(one)["vehicles"], "wait" in told(one)) == (1, False)
    assert refusals(NAME, payload) == {"carLiveQueue, wait": reason}


@pytest.mark.parametrize(
    ("queues", "what", "reason"),
    [
        (
            {"carLiveQueue": [vehicle(5), vehicle()]},
            "carLiveQueue",
            "has vehicles of a status that is not known: 1",
        ),
        (
            {"carLiveQueue": [{"regnum": PLATE}, {"regnum": PLATE}]},
            "carLiveQueue",
            "status: is required; registration_date: is required; changed_date: is required",
        ),
        ({"carLiveQueue": [PLATE]}, "carLiveQueue", "0: must be an object"),
        ({"carLiveQueue": {"regnum": PLATE}}, "carLiveQueue", ": must be a list"),
        ({"truckGpk": [vehicle()]}, "truckGpk", "is a queue that is not known, of 1"),
        (
            {"truckLiveQueue": [vehicle()]},
            "truckLiveQueue",
            "is a queue of what does not cross here, of 1",
        ),
    ],
)
def test_a_queue_that_is_not_sure_is_refused_and_the_others_go_on(
    queues: dict[str, object], what: str, reason: str
) -> None:
    payload = monitoring({"busLiveQueue": [vehicle()], **queues})

    assert refusals(NAME, payload) == {what: reason}
    assert "busLiveQueue" in {one.what for one in readings(NAME, payload)}


def test_a_checkpoint_that_is_not_ours_is_named() -> None:
    another = "00000000-2b34-11ec-8467-ac1f6bf889c0"

    assert unknown(NAME, monitoring(checkpoint=another)) == [another]


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"[]", "is not an object"),
        (b'{"datetime": "now"}', "does not say of which checkpoint it is"),
        (monitoring(checkpoint=7), "does not say of which checkpoint it is"),
        (monitoring().replace(b"2024-09-30", b"yesterday"), "does not say when it was made"),
        (monitoring().replace(b"Queue", b"List").replace(b"Priority", b"First"), "has no queues"),
    ],
)
def test_another_shape_breaks_the_payload(payload: bytes, reason: str) -> None:
    with pytest.raises(BrokenPayload, match=reason):
        parse(NAME, payload)


@given(
    place=st.integers(0, len(SAMPLE)),
    length=st.integers(0, len(SAMPLE)),
    junk=st.binary(max_size=8) | st.sampled_from([b"null", b"-1", b'"', b"{}", b"9e9"]),
)
def test_a_damaged_payload_gives_findings_or_is_broken(
    place: int, length: int, junk: bytes
) -> None:
    with suppress(BrokenPayload):
        parse(NAME, SAMPLE[:place] + junk + SAMPLE[place + length :])


def test_each_checkpoint_has_an_address() -> None:
    addresses = importers()[NAME].addresses

    assert len(addresses) == len(importers()[NAME].places.place)
    assert any(one.endswith(f"checkpointId={BENYAKONI}") for one in addresses)


def broken_plates(at: datetime) -> list[bytes]:
    """Return payloads with a number plate wherever one might be repeated."""
    plates: list[object] = [
        [vehicle(ARRIVED, at - timedelta(hours=1))],
        [vehicle(CALLED, at - timedelta(hours=1), at - timedelta(minutes=1))],
        [{**vehicle(), "status": PLATE}],
        [{**vehicle(CALLED), "registration_date": PLATE}],
        [PLATE],
        {PLATE: PLATE},
        PLATE,
    ]
    sound = monitoring({"carLiveQueue": [vehicle()]}, at=at)
    return [
        *(monitoring({"carLiveQueue": one, "truckGpk": one}, at=at) for one in plates),
        monitoring({PLATE: [PLATE]}, at=at),
        monitoring(checkpoint=PLATE, at=at),
        sound[: sound.index(PLATE.encode()) + len(PLATE)],
        PLATE.encode(),
    ]


async def test_number_plates_are_neither_stored_nor_logged_nor_told(
    imports: Imports, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    now = datetime.now(UTC)
    shown: list[str] = []
    for payload in broken_plates(now - timedelta(minutes=1)):
        outcome = await imports.take(payload, NAME)
        await imports.runner(NAME).note([outcome])
        shown += [str(outcome), *map(line, outcome.refused), *map(line, outcome.unknown_places)]

    assert imports.observations > 0
    tables = ("observation", "observation_series", "imported_feed", "imported_payload", "change")
    for table in tables:
        shown.append(str(imports.rows(f"SELECT t::text FROM {table} t")))  # noqa: S608
    shown.append(caplog.text)
    shown += [text(file) for file in (imports.quarantine.folder / NAME).iterdir()]
    assert not [one for one in shown if PLATE in one]


def text(file: Path) -> str:
    return file.read_text(encoding="utf-8")
