"""What a feed says of statuses: it opens and confirms lanes of its own side, and nothing else."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from zoneinfo import ZoneInfo

import pytest

from app.audit.service import find_faults
from app.embedded.server import OWNER
from app.importers.policy import Policy
from app.importers.running import ImportOutcome
from app.status.schemas import StatusOut
from tests.api import Api, Json, citation
from tests.importers.conftest import Imports
from tests.importers.samples import CLOSED, cbp, cbsa, clock, echerha, lanes, office, port, queue
from tests.waiting import until

CROSSING = "peace-bridge"
NOW = datetime.now(UTC).replace(second=0, microsecond=0)
HOUR = timedelta(hours=1)


def working(at: datetime, **fields: Json) -> bytes:
    """Return a poll of CBP in which cars enter the United States, as of an instant."""
    car = lanes("25", clock(at))
    return cbp(port(at=at + timedelta(minutes=1), **{"car": car, **fields}))  # type: ignore[arg-type]  # they are groups of lanes


async def lane(api: Api, traffic: str = "car", to: str = "US", **question: str | int) -> Json:
    """Return the status of a lane, asked as a driver would."""
    return await api.status(CROSSING, traffic=traffic, to=to, **question)


def wire(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


async def is_confirmed_at(api: Api, instant: str) -> bool:
    return (await lane(api))["last_confirmed_at"] == instant


async def events(api: Api) -> list[Json]:
    items: list[Json] = (await api.get("/v1/events", crossing=CROSSING)).json()["items"]
    return items


async def declare(api: Api, status: str, start: datetime, **fields: object) -> Json:
    body = {
        "crossings": [CROSSING],
        "sides": ["US"],
        "status": status,
        "effective": {"from": start.isoformat()},
        "reason": {"code": "other"},
        "citations": [citation()],
        **fields,
    }
    response = await api.post("/v1/events", body)
    assert response.status_code == 201, response.text
    event: Json = response.json()["events"][0]
    return event


def counts(outcome: ImportOutcome) -> tuple[int, int, int]:
    policy = outcome.policy
    return policy.opened, policy.confirmed, policy.kept


# Opening


async def test_a_lane_reported_working_becomes_an_open_of_that_side(imports: Imports) -> None:
    at = NOW - HOUR

    outcome = await imports.take(working(at))

    assert counts(outcome) == (1, 0, 0)
    async with imports.database.api() as api:
        answer = await lane(api)
        [event] = await events(api)
        others = await lane(api, to="CA")
    assert (answer["status"], answer["since"]) == ("open", wire(at))
    assert answer["expires_at"] == wire(at + 6 * HOUR)
    assert (event["sides"], event["traffic"], event["to"]) == (["US"], ["car"], "US")
    [(source,)] = imports.rows("SELECT id::text FROM source WHERE recorded_by = 'us-cbp'")
    assert event["recorded_by"] == "us-cbp"
    assert event["citations"] == [{"source": source, "locator": None, "basis": "inferred"}]
    assert others["status"] == "unknown"


async def test_the_same_again_says_nothing(imports: Imports) -> None:
    await imports.take(working(NOW - HOUR))

    outcome = await imports.take(working(NOW - HOUR, truck=CLOSED))

    assert counts(outcome) == (0, 0, 0)
    assert imports.rows("SELECT count(*) FROM status_event WHERE recorded_by = 'us-cbp'") == [(1,)]


@pytest.mark.parametrize(
    "fields",
    [
        {"car": CLOSED},
        {"car": lanes("25", clock(NOW - HOUR), lanes_open="0")},
        {"car": lanes("25", clock(NOW - HOUR), lanes_open="")},
        {"car": lanes("25", clock(NOW - 7 * HOUR))},
        {"car": CLOSED, "nexus": lanes("25", clock(NOW - HOUR))},
    ],
    ids=["closed", "no lane open", "lanes not counted", "too long ago", "priority lanes alone"],
)
async def test_what_is_not_a_working_lane_opens_nothing(
    imports: Imports, fields: dict[str, Json]
) -> None:
    outcome = await imports.take(working(NOW - HOUR, **fields))

    assert counts(outcome) == (0, 0, 0)


async def test_canada_opens_lanes_into_canada(imports: Imports) -> None:
    at = NOW - HOUR
    local = at.astimezone(ZoneInfo("America/Toronto"))
    row = office(
        instant=f"{local:%Y-%m-%dT%H:%M%z}", updated=f"{local:%Y-%m-%d %H:%M} {local.tzname()}"
    )

    outcome = await imports.take(cbsa(row), "ca-cbsa")

    assert counts(outcome) == (2, 0, 0)
    async with imports.database.api() as api:
        assert (await lane(api, to="CA"))["status"] == "open"
        assert (await lane(api, to="US"))["status"] == "unknown"


async def test_a_queue_system_says_nothing_of_a_status(imports: Imports) -> None:
    outcome = await imports.take(echerha(queue()), "ua-echerha")

    assert (outcome.recorded, counts(outcome)) == (1, (0, 0, 0))


async def test_nothing_is_opened_where_it_would_stay_open_for_days(imports: Imports) -> None:
    async with imports.database.api() as api:
        patch = {"confirm_within_hours": None, "citations": [citation()]}
        assert (await api.patch(f"/v1/crossings/{CROSSING}", patch)).status_code == 200

    assert counts(await imports.take(working(NOW - HOUR))) == (0, 0, 0)


# What a person declares


@pytest.mark.parametrize("status", ["closed", "restricted", "open"])
async def test_what_a_person_declared_stays_as_it_is(imports: Imports, status: str) -> None:
    async with imports.database.api() as api:
        before = await declare(api, status, NOW - 2 * HOUR)

        outcome = await imports.take(working(NOW - HOUR))

        answer = await lane(api)
    assert counts(outcome) == (0, 0, 0)
    assert answer["status"] == status
    assert answer["decided_by"] == [before]
    assert answer["last_confirmed_at"] == wire(NOW - 2 * HOUR)


async def test_a_closure_by_the_other_side_goes_on_deciding(imports: Imports) -> None:
    async with imports.database.api() as api:
        await declare(api, "closed", NOW - 2 * HOUR, sides=["CA"])

    outcome = await imports.take(working(NOW - HOUR))

    async with imports.database.api() as api:
        answer = await lane(api)
    assert counts(outcome) == (1, 0, 0)
    assert (answer["status"], answer["sides"]) == ("closed", {"CA": "closed", "US": "open"})


async def test_an_observation_before_a_closure_ended_opens_nothing_after_it(
    imports: Imports,
) -> None:
    async with imports.database.api() as api:
        until = (NOW - HOUR / 2).isoformat()
        start = (NOW - 3 * HOUR).isoformat()
        await declare(api, "closed", NOW, effective={"from": start, "until": until})

        assert counts(await imports.take(working(NOW - HOUR))) == (0, 0, 0)
        assert counts(await imports.take(working(NOW - HOUR / 4))) == (1, 0, 0)


async def test_a_feed_does_not_undo_a_correction_of_its_open(imports: Imports) -> None:
    await imports.take(working(NOW - 2 * HOUR))
    async with imports.database.api() as api:
        [event] = await events(api)
        await declare(api, "closed", NOW - HOUR, supersedes=[event["id"]], traffic=["car"], to="US")

        assert counts(await imports.take(working(NOW - HOUR / 4))) == (0, 0, 0)
        assert (await lane(api))["status"] == "closed"


# Confirming


async def test_later_observations_confirm_the_open_and_are_no_changes(imports: Imports) -> None:
    await imports.take(working(NOW - 3 * HOUR))
    confirmed, expiry = wire(NOW - HOUR), wire(NOW + 5 * HOUR)
    async with imports.database.api() as api:
        before = await lane(api)
        changes = imports.rows("SELECT max(number) FROM change")

        outcome = await imports.take(working(NOW - HOUR))

        await until(lambda: is_confirmed_at(api, confirmed))
        answer = await lane(api)
    assert counts(outcome) == (0, 0, 1)
    assert imports.rows("SELECT max(number) FROM change") == changes
    expected = {"last_confirmed_at": confirmed, "expires_at": expiry, "next_change_at": expiry}
    assert answer == before | expected | {"waits": answer["waits"]}


async def test_few_of_many_observations_are_kept(imports: Imports) -> None:
    for minutes in range(240, 0, -10):
        await imports.take(working(NOW - timedelta(minutes=minutes)))

    assert imports.rows("SELECT count(*) FROM observation") == [(24,)]
    assert imports.rows("SELECT count(*) FROM confirming_observation") == [(2,)]


async def test_what_expired_while_a_feed_was_silent_is_confirmed_by_an_event(
    imports: Imports,
) -> None:
    """A follower was told that it is unknown, and has to hear that it no longer is."""
    await imports.take(working(NOW - 3 * HOUR))
    async with imports.database.api() as api:
        patch = {"confirm_within_hours": 2, "citations": [citation()]}
        assert (await api.patch(f"/v1/crossings/{CROSSING}", patch)).status_code == 200
        silent = await lane(api)

    outcome = await imports.take(working(NOW - HOUR))

    async with imports.database.api() as api:
        answer = await lane(api)
        confirmation, _ = await events(api)
    assert (silent["status"], silent["last_known"]) == ("unknown", "open")
    assert counts(outcome) == (0, 1, 0)
    assert (confirmation["kind"], confirmation["confirmed_at"]) == (
        "confirmation",
        wire(NOW - HOUR),
    )
    assert (answer["status"], answer["change"]) == ("open", confirmation["change"])


# Answering again


async def test_every_past_answer_can_be_given_again(imports: Imports) -> None:
    """As known then, also when the observations themselves are gone."""
    instants: list[datetime] = []
    answers: list[Json] = []
    for hours in (5, 3, 1):
        await imports.take(working(NOW - hours * HOUR))
        ((recorded,),) = imports.rows("SELECT clock_timestamp()")
        assert isinstance(recorded, datetime)
        instants.append(recorded)
        async with imports.database.api() as api:
            answers.append(await lane(api))
    expiries = [wire(NOW + hours * HOUR) for hours in (1, 3, 5)]
    assert [answer["expires_at"] for answer in answers] == expiries
    with imports.database.connect(OWNER) as connection:
        weeks = "SELECT relname FROM pg_class WHERE relname ~ '^observation_2' AND relkind = 'r'"
        for (week,) in connection.execute(weeks.encode()).fetchall():
            connection.execute(f"DROP TABLE partitions.{week}".encode())

    async with imports.database.api() as api:
        for instant, answer in zip(instants, answers, strict=True):
            text = instant.isoformat()
            again = await lane(api, known_at=text, at=text)
            asked = {"at": again["at"], "known_at": again["known_at"], "waits": []}
            assert again == answer | asked
        change = answers[-1]["change"]
        assert isinstance(change, int)
        at_the_change = await lane(api, known_change=change)
    assert at_the_change["expires_at"] == expiries[0]


async def test_the_log_and_what_is_stored_of_it_agree(imports: Imports) -> None:
    for hours in (5, 3, 1):
        await imports.take(working(NOW - hours * HOUR))
    async with imports.database.api() as api:
        await declare(api, "restricted", NOW - 2 * HOUR, traffic=["truck"])

    async with imports.database.session() as session:
        assert [fault async for fault in find_faults(session)] == []


def test_a_policy_names_a_side_if_it_says_anything() -> None:
    assert Policy() == Policy(status="nothing")
    for wrong in ({"status": "open"}, {"side": "US"}):
        with pytest.raises(ValueError, match="side"):
            Policy.model_validate(wrong)


# Beside the status


async def page(api: Api, path: str, **parameters: str) -> str:
    response = await api.get(path, **parameters)
    assert response.status_code == 200, response.text
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", response.text)).split())


async def test_a_disagreement_is_said_beside_the_status_and_to_reporters(
    imports: Imports,
) -> None:
    at = NOW - timedelta(minutes=12)
    async with imports.database.api() as api:
        await declare(api, "closed", NOW - HOUR)
    await imports.take(working(at))

    async with imports.database.api() as api:
        answer = await lane(api)
        crossing = await page(api, f"/crossings/{CROSSING}", lang="en")
        reporters = await page(api, "/report", lang="en")
    [wait] = StatusOut.model_validate(answer).waits
    assert (answer["status"], wait.supports, wait.disagrees) == ("closed", "open", True)
    said = (
        r"for cars to the United States: traffic passes, says US Customs and Border Protection,"
        r" \d+ minutes ago, which disagrees with the status"
    )
    assert re.search(said, crossing)
    assert re.search(f"Observations that disagree with a status .*Peace Bridge.* {said}", reporters)


async def test_lanes_closed_is_shown_as_an_observation(imports: Imports) -> None:
    """It closes nothing: a lane that is declared open is still open, and they disagree."""
    async with imports.database.api() as api:
        await declare(api, "open", NOW - HOUR)
        outcome = await imports.take(working(NOW - HOUR / 4, car=CLOSED))

    async with imports.database.api() as api:
        answer = StatusOut.model_validate(await lane(api))
        crossing = await page(api, f"/crossings/{CROSSING}", lang="en")
    [wait] = answer.waits
    assert counts(outcome) == (0, 0, 0)
    assert answer.status == "open"
    assert (wait.wait.state, wait.lanes_open, wait.disagrees) == ("closed", 0, True)
    assert "the lane is closed, says US Customs and Border Protection" in crossing


@pytest.mark.parametrize(
    ("lang", "said"),
    [
        ("en", "(over 7.5 t): the queue is paused, says eCherha, 12 minutes ago"),
        ("lt", "eilė sustabdyta, praneša eCherha, prieš 12 minučių"),
        ("pl", "kolejka jest wstrzymana, podaje eCherha, 12 minut temu"),
        ("ru", "очередь приостановлена, сообщает eCherha, 12 минут назад"),
        ("be", "чарга прыпынена, паведамляе eCherha, 12 хвілін таму"),
    ],
)
async def test_that_a_queue_is_paused_is_said_beside_the_status(
    imports: Imports, lang: str, said: str
) -> None:
    paused = queue(is_paused=True)
    at = datetime.now(UTC) - timedelta(minutes=11, seconds=45)  # twelve for a while yet

    outcome = await imports.take(echerha(paused), "ua-echerha", at=at)

    async with imports.database.api() as api:
        status = await api.status("shehyni-medyka")
        assert said in await page(api, "/crossings/shehyni-medyka", lang=lang)
        assert "Observations that disagree" not in await page(api, "/report", lang="en")
    assert (outcome.recorded, counts(outcome)) == (1, (0, 0, 0))
    assert status["status"] == "unknown"
