"""Waits on pages: with their age and how they came about, in the reader's language."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest

from app.languages.languages import LANGUAGES
from app.languages.words import Words
from app.observations.schemas import Queue
from tests.api import MEDININKAI, Api
from tests.marks import in_full
from tests.observations.observing import Body, ago, known, record, row

CARD, LIST, BORDER = f"/map/{MEDININKAI}", "/", "/borders/BY-LT"
CROSSING = f"/crossings/{MEDININKAI}"
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
async def here(api: Api) -> Api:
    """Medininkai is open, and nothing was observed yet."""
    await api.declare(crossings=[MEDININKAI], sides=["LT", "BY"], status="open")
    return api


async def waits_on(api: Api, path: str, lang: str = "en", **parameters: str) -> list[str]:
    """Return what a page says of each wait, without marks."""
    found = await api.get(path, lang=lang, **parameters)
    assert found.status_code == 200, found.text
    # The page of a crossing has the waits above its table of lanes, too.
    text = found.text.partition('id="lanes"')[2] or found.text
    parts = re.split(r'(?=<span class="wait">)', text)[1:]
    return [_text(re.split(r"</span>\s*(?=<(?:span class=.wait|/|br))|</span>$", one)[0])
            for one in parts]  # fmt: skip


def _text(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", "", html)).split())


def trucks() -> Body:
    return row(
        traffic="truck",
        to="BY",
        queue={"weight_kg": {"from": 3500, "to": 7500}, "empty": True},
        wait=known(250),
        vehicles=120,
        lanes_open=2,
        paused=True,
        estimate=True,
        method="queue_system",
        observed_at=ago(minutes=11, seconds=45),  # which is twelve for a while yet
    )


@pytest.mark.parametrize("path", [LIST, *in_full(CARD, BORDER)])
@pytest.mark.parametrize(
    ("lang", "told"),
    [
        ("en", ("for trucks to Belarus (3.5 to 7.5 t, empty): wait 4 hrs 10 mins,"
               " 120 vehicles waiting, 2 lanes open, queue paused"
               " (12 minutes ago, from the queue system, estimate)")),
        ("lt", ("krovininiams automobiliams į Baltarusiją (nuo 3,5 iki 7,5 t, be krovinio):"
               " laukti 4 val. 10 min., laukia 120 transporto priemonių, atviros 2 juostos,"
               " eilė sustabdyta (prieš 12 minučių, iš eilių sistemos, apytikriai duomenys)")),
        ("pl", ("dla ciężarówek do Białorusi (od 3,5 do 7,5 t, bez ładunku):"
               " oczekiwanie 4 godz. 10 min, oczekuje 120 pojazdów, otwarte 2 pasy,"
               " kolejka wstrzymana (12 minut temu, z systemu kolejkowego, szacunek)")),
        ("ru", ("для грузовых автомобилей в Беларусь (от 3,5 до 7,5 т, без груза):"
               " ждать 4 ч 10 мин, в очереди 120 машин, открыто 2 полосы,"
               " очередь приостановлена (12 минут назад, по данным системы очередей, оценка)")),
        ("be", ("для грузавых аўтамабіляў у Беларусь (ад 3,5 да 7,5 т, без грузу):"
               " чакаць 4 гадз 10 хв, у чарзе 120 машын, адкрыты 2 паласы,"
               " чарга прыпынена (12 хвілін таму, паводле сістэмы чэргаў, ацэнка)")),
    ],
)  # fmt: skip
async def test_a_row_and_a_card_tell_a_wait_with_its_age_and_method(
    here: Api, path: str, lang: str, told: str
) -> None:
    await record(here, trucks())

    (found,) = await waits_on(here, path, lang)

    assert found == told


async def test_the_table_of_lanes_tells_the_waits_of_each(here: Api) -> None:
    await record(
        here,
        trucks(),
        row(observed_at=ago(minutes=1), vehicles=1),
        row(to="BY", wait={"state": "unknown"}, method="reported"),
        row(traffic="bus", wait={"state": "closed"}),
    )

    assert await waits_on(here, CROSSING) == [
        "wait unknown (1 minute ago, reported by travellers)",
        "wait 35 mins, 1 vehicle waiting (1 minute ago, official figure)",
        (
            "3.5 to 7.5 t, empty: wait 4 hrs 10 mins, 120 vehicles waiting, 2 lanes open,"
            " queue paused (12 minutes ago, from the queue system, estimate)"
        ),
    ]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"wait": None, "moving": True}, "traffic moving"),
        ({"wait": None, "moving": False, "vehicles": 9}, "9 vehicles waiting, traffic standing"),
        ({"wait": None, "lanes_open": 1}, "wait unknown, 1 lane open"),
    ],
)
async def test_whatever_was_seen_is_told(here: Api, fields: Body, told: str) -> None:
    await record(here, row(**fields, method="camera"))

    (found,) = await waits_on(here, CROSSING)

    assert found.partition(" (")[0] == told


async def test_a_row_tells_three_waits_and_counts_the_others(here: Api) -> None:
    await record(here, *(row(traffic=one, to=to) for one in ("car", "bus") for to in ("LT", "BY")))

    found = await waits_on(here, LIST)

    assert len(found) == 4
    assert found[-1] == "and 1 more wait"


async def test_a_closed_lane_has_no_wait_and_perhaps_vehicles_before_it(here: Api) -> None:
    await record(here, row(vehicles=80), row(to="BY"))
    await here.declare(crossings=[MEDININKAI], sides=["LT"])

    assert await waits_on(here, LIST) == []
    (told,) = await waits_on(here, CROSSING)
    assert told.startswith("80 vehicles waiting (")


async def test_a_page_for_a_vehicle_has_its_waits(here: Api) -> None:
    await record(here, row(), row(traffic="truck"))

    (found,) = await waits_on(here, LIST, traffic="truck")

    assert "for trucks to Lithuania" in found


@pytest.mark.parametrize("path", [LIST, CARD, BORDER, CROSSING])
async def test_a_page_about_the_past_tells_when_and_not_how_long_ago(here: Api, path: str) -> None:
    when = datetime.now(UTC) - timedelta(hours=9)
    await record(here, row(observed_at=when.isoformat(), wait=known(9)))

    assert await waits_on(here, path) == []
    (found,) = await waits_on(here, path, at=(when + timedelta(hours=1)).isoformat())
    assert "wait 9 mins" in found
    assert "ago" not in found
    assert f"{when.astimezone(UTC):%Y}" in found


async def test_a_page_is_not_kept_beyond_a_new_wait(here: Api) -> None:
    for minutes in range(5):
        await record(here, row(wait=known(minutes)))
        (found,) = await waits_on(here, CROSSING)
        assert f"wait {minutes} min" in found


# Words


@pytest.mark.parametrize(
    ("minutes", "told"),
    [
        (0, "0 mins"),
        (1, "1 min"),
        (60, "1 hr"),
        (95, "1 hr 35 mins"),
        (1_440, "1 day"),
        (43_199, "29 days 23 hrs 59 mins"),
    ],
)
def test_how_long(minutes: int, told: str) -> None:
    assert Words(LANGUAGES["en"]).duration(minutes) == told


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(-30, "1 minute ago"), (0, "1 minute ago"), (700, "12 minutes ago"), (9_000, "2 hours ago")],
)
def test_how_old(seconds: int, told: str) -> None:
    """An observer's clock that is ahead of ours is no reason to speak of the future."""
    observed_at = NOON - timedelta(seconds=seconds)
    assert Words(LANGUAGES["en"]).age(observed_at, NOON) == told


@pytest.mark.parametrize(
    ("queue", "told"),
    [
        ({"weight_kg": {"to": 3500}}, "up to 3.5 t"),
        ({"weight_kg": {"from": 7500}, "priority": True}, "over 7.5 t, with priority"),
        ({"pre_booked": True, "goods": "perishable"}, "with a booking, perishable"),
    ],
)
def test_whom_a_queue_is_for(queue: Body, told: str) -> None:
    assert Words(LANGUAGES["en"]).queue(Queue.model_validate(queue)) == told
