"""Ukraine's electronic queue: what its queues say, and what cannot be relied on."""

import pytest
from pydantic import JsonValue

from app.importers.findings import BrokenPayload, Refusal
from tests.importers.samples import echerha, parse, queue, readings, refusals, told, unknown

NAME = "ua-echerha"


def test_a_queue_is_of_trucks_that_leave_ukraine() -> None:
    """Nothing in it says when it was made."""
    (one,) = readings(NAME, echerha(queue(is_paused=True)))

    assert told(one) == {
        "crossing": "shehyni-medyka",
        "traffic": "truck",
        "to": "PL",
        "queue": {"weight_kg": {"from": 7500}},
        "wait": {"state": "known", "minutes": 120},
        "vehicles": 30,
        "paused": True,
        "estimate": True,
        "method": "queue_system",
    }


@pytest.mark.parametrize(
    ("rest", "described"),
    [
        ("", None),
        (" (для вантажівок ≥ 7,5 тонн)", {"weight_kg": {"from": 7500}}),
        (" (для вантажівок > 3,5 тонн)", {"weight_kg": {"from": 3500}}),
        (" (для вантажівок ≤ 7,5 тонн)", {"weight_kg": {"to": 7500}}),
        (" (для вантажівок < 7,5 тонн)", {"weight_kg": {"to": 7500}}),
        (" (для вантажівок ≥ 3 тонн)", {"weight_kg": {"from": 3000}}),
        (
            " (для вантажівок ≥ 3,5 тонн до ≤ 7,5 тонн)",
            {"weight_kg": {"from": 3500, "to": 7500}},
        ),
        (
            " (для порожніх вантажівок ≥ 3,5 тонн до < 7,5 тонн)",
            {"weight_kg": {"from": 3500, "to": 7500}, "empty": True},
        ),
        (
            ". Товари 1-24 групи УКТЗЕД (≥ 7,5 тонн)",
            {"weight_kg": {"from": 7500}, "goods": "UKTZED groups 1-24"},
        ),
        (
            ". Товари живі тварини (≥ 7,5 тонн)",
            {"weight_kg": {"from": 7500}, "goods": "живі тварини"},
        ),
    ],
)
def test_the_title_says_what_sets_a_queue_apart(
    rest: str, described: dict[str, JsonValue] | None
) -> None:
    (one,) = readings(NAME, echerha(queue(title=f"Шегині – Медика{rest}")))

    assert told(one).get("queue") == described


@pytest.mark.parametrize(
    "rest", [" (для автобусів)", " (для вантажівок 7,5 тонн)", ". Щось інше", " (для вантажівок )"]
)
def test_a_title_that_is_not_known_is_refused(rest: str) -> None:
    payload = echerha(queue(title=f"Шегині – Медика{rest}"), queue(1, "Ягодин – Дорогуськ"))

    assert [told(one)["crossing"] for one in readings(NAME, payload)] == ["yahodyn-dorohusk"]
    assert refusals(NAME, payload) == {"queue 8": "has a title that is not known"}


def test_names_may_have_brackets_hyphens_and_another_dash() -> None:
    titles = [
        ("Чоп (Тиса) – Захонь (для вантажівок ≥ 3,5 тонн)", 167, "chop-zahony"),
        ("Маяки-Удобне – Паланка (для вантажівок ≥ 3,5 тонн)", 112, "maiaky-udobne-palanca"),
        ("Сокиряни - Окниця (для вантажівок ≥ 3,5 тонн)", 112, "sokyriany-ocnita"),
    ]
    payload = echerha(*(queue(n, title, country_id=c) for n, (title, c, _) in enumerate(titles)))

    assert [told(one)["crossing"] for one in readings(NAME, payload)] == [
        crossing for _, _, crossing in titles
    ]


def test_queues_of_one_crossing_are_told_apart() -> None:
    payload = echerha(queue(8), queue(91, "Шегині – Медика (для порожніх вантажівок ≥ 7,5 тонн)"))

    first, second = (told(one)["queue"] for one in readings(NAME, payload))

    assert first != second


@pytest.mark.parametrize(
    ("fields", "what", "reason"),
    [
        ({"country_id": 149}, "queue 8", "is of a country that is not PL"),
        ({"country_id": 1}, "queue 8", "is of a country that is not PL"),
        ({"for_vehicle_type": 2}, "queue 8", "is of vehicles that are not known"),
        ({"wait_time": -60}, "queue 8", "wait.known.minutes: must be at least 0"),
        ({"wait_time": 10**9}, "queue 8", "wait.known.minutes: must be at most 43200"),
        ({"wait_time": "7200"}, "the row", "wait_time: must be a whole number"),
        ({"is_paused": 1}, "the row", "is_paused: must be true or false"),
        ({"title": "Шегині"}, "title", "does not name two places"),
    ],
)
def test_a_queue_that_is_not_sure_is_refused(
    fields: dict[str, JsonValue], what: str, reason: str
) -> None:
    payload = echerha({**queue(), **fields}, queue(1, "Ягодин – Дорогуськ"))

    assert len(readings(NAME, payload)) == 1
    assert refusals(NAME, payload) == {what: reason}


def test_a_wait_of_zero_where_trucks_wait_is_no_estimate() -> None:
    payload = echerha(queue(wait_time=0, vehicle_in_active_queues_counts=12))

    (one,) = readings(NAME, payload)

    assert ("wait" in told(one), told(one)["vehicles"]) == (False, 12)
    assert refusals(NAME, payload) == {"queue 8, wait": "is zero although 12 wait"}


def test_an_empty_queue_has_a_wait_of_zero() -> None:
    (one,) = readings(NAME, echerha(queue(wait_time=0, vehicle_in_active_queues_counts=0)))

    assert told(one)["wait"] == {"state": "known", "minutes": 0}


def test_what_may_be_a_restriction_is_told_and_changes_nothing() -> None:
    payload = echerha(queue(tooltip="Не більше 3,5 тонн"))

    assert len(readings(NAME, payload)) == 1
    (refusal,) = [one for one in parse(NAME, payload) if isinstance(one, Refusal)]
    assert (refusal.what, refusal.value) == ("note of queue 8", "Не більше 3,5 тонн")
    assert not refusal.is_damage


def test_places_that_are_not_ours_are_named_by_both_names() -> None:
    payload = echerha(queue(title="Тут – Там (для вантажівок ≥ 3,5 тонн)"), queue(1))

    assert unknown(NAME, payload) == ["Тут – Там"]


def test_an_id_that_stands_twice_is_refused() -> None:
    payload = echerha(queue(8), queue(8), queue(1, "Ягодин – Дорогуськ"))

    assert len(readings(NAME, payload)) == 1
    assert refusals(NAME, payload) == {"id": "appears 2 times in the payload"}


@pytest.mark.parametrize("payload", [b"[]", b'{"data": {}}', b'{"data": []}', b'{"items": []}'])
def test_another_shape_breaks_the_payload(payload: bytes) -> None:
    with pytest.raises(BrokenPayload):
        parse(NAME, payload)
