"""Who asks too often is refused at the bound and one above, and is told when to come back."""

import re
from collections.abc import Mapping

import httpx2
import pytest

from app.config import Settings
from app.http.clients import client_network
from app.limits.requests import BoardLimit, RequestLimits
from app.pages import page_cache
from tests.api import SUMSKAS, decision, problem
from tests.conftest import Database
from tests.limits.conftest import NEVER, StartLimited, slow

pytestmark = pytest.mark.anyio

PRESENT = f"/v1/crossings/{SUMSKAS}/status"
PAST = f"{PRESENT}?at=2023-09-01T00:00:00Z"
WRONG = "cxs_00000000_nobody"


# What the board answers


def test_each_second_a_client_is_answered_so_often_and_no_more() -> None:
    limit = BoardLimit(3)

    assert [limit.is_exceeded("one", 10.5) for _ in range(4)] == [False, False, False, True]
    assert not limit.is_exceeded("other", 10.5)
    assert limit.is_exceeded("one", 11.4)
    assert not limit.is_exceeded("one", 11.5)


async def test_one_that_is_refused_is_told_why_and_for_how_long(limited: StartLimited) -> None:
    async with limited(board=1) as api:
        response = await api.get(PRESENT)
        assert response.headers["ratelimit-policy"] == '"board";q=1;w=1'
        while response.status_code == 200:
            response = await api.get(PRESENT)

    body = problem(response, 429, "rate-limited")
    assert body["detail"] == "The address 127.0.0.1 may ask 1 times a second. Try again in 1 s."
    assert response.headers["retry-after"] == "1"
    assert response.headers["ratelimit"] == '"board";r=0;t=1'
    assert response.headers["ratelimit-policy"] == '"board";q=1;w=1'
    assert "RateLimit" in response.headers["access-control-expose-headers"]


async def test_what_has_not_changed_is_free(limited: StartLimited) -> None:
    async with limited(board=1) as api:
        known = {"If-None-Match": (await api.get(PRESENT)).headers["etag"]}
        again = [await api.client.get(PRESENT, headers=known) for _ in range(20)]

    assert {one.status_code for one in again} == {304}


async def test_health_is_told_however_often_it_is_asked(limited: StartLimited) -> None:
    async with limited(board=1, database=slow(1)) as api:
        for _ in range(20):
            assert (await api.get("/health/ready")).status_code == 200


# What asks the database


async def test_a_client_may_ask_the_database_so_often_and_once_more_it_may_not(
    limited: StartLimited,
) -> None:
    async with limited(database=slow(3)) as api:
        answers = [await api.get(PAST) for _ in range(4)]
        present = await api.get(PRESENT)

    assert [one.status_code for one in answers] == [200, 200, 200, 429]
    assert [remaining(one) for one in answers] == [2, 1, 0, 0]
    assert answers[0].headers["ratelimit-policy"] == '"database";q=3;w=3000000'
    body = problem(answers[3], 429, "rate-limited")
    assert "ask the database 1 times a second, 3 at once" in str(body["detail"])
    assert int(answers[3].headers["retry-after"]) > 1
    assert present.status_code == 200, "the board goes on answering"


async def test_a_304_of_the_database_is_given_back(limited: StartLimited) -> None:
    async with limited(database=slow(3)) as api:
        known = {"If-None-Match": (await api.get(PAST)).headers["etag"]}
        again = [await api.client.get(PAST, headers=known) for _ in range(10)]
        last = [await api.get(PAST) for _ in range(3)]

    assert {one.status_code for one in again} == {304}
    assert [one.status_code for one in last] == [200, 200, 429]


@pytest.mark.parametrize(
    ("language", "title"),
    [
        ("en", "Too many requests"),
        ("lt", "Per daug užklausų"),
        ("pl", "Zbyt wiele zapytań"),
        ("ru", "Слишком много запросов"),
        ("be", "Занадта шмат запытаў"),
    ],
)
async def test_a_page_says_it_in_the_language_of_its_reader(
    limited: StartLimited, language: str, title: str
) -> None:
    headers = {"Accept": "text/html", "Accept-Language": language}
    async with limited(database=slow(1)) as api:
        assert (await api.client.get("/sources", headers=headers)).status_code == 200
        for page in ("/sources", f"/crossings/{SUMSKAS}"):
            refused = await api.client.get(page, headers=headers)
            assert refused.status_code == 429
            assert refused.headers["content-type"].startswith("text/html")
            assert "retry-after" in refused.headers
            assert f"<h1>{title}</h1>" in refused.text


async def test_a_page_that_was_made_for_another_costs_nothing(
    limited: StartLimited, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_cache, "CACHE_SECONDS", NEVER)
    async with limited(database=slow(1)) as api:
        pages = [await api.get("/about-nothing"), *[await api.get("/map.json") for _ in range(10)]]

    assert [one.status_code for one in pages] == [404] + [200] * 10


# Keys


async def test_each_key_has_an_allowance_of_its_own(
    limited: StartLimited, seeded: Database
) -> None:
    another = await seeded.new_key(name="another")
    preview = {"validate_only": "true"}
    async with limited(database=slow(2)) as api:
        answers = [await api.post("/v1/events", decision(), **preview) for _ in range(3)]
        of_another = await api.post("/v1/events", decision(), key=another, **preview)
        without_key = await api.get(PAST)

    assert [one.status_code for one in answers] == [200, 200, 429]
    assert [remaining(one) for one in answers] == [1, 0, 0]
    assert str(problem(answers[2], 429, "rate-limited")["detail"]).startswith("This key may ")
    assert of_another.status_code == 200
    assert remaining(without_key) == 1


async def test_after_so_many_wrong_keys_none_is_looked_up(limited: StartLimited) -> None:
    """Not even a right one: whoever guesses learns nothing more."""
    async with limited(wrong_keys=slow(3)) as api:
        answers = [await api.post("/v1/events", decision(), key=WRONG) for _ in range(4)]
        right = await api.post("/v1/events", decision(), validate_only="true")
        read = await api.get(PAST)

    assert [one.status_code for one in answers] == [401, 401, 401, 429]
    body = problem(answers[3], 429, "rate-limited")
    assert "may send 1 wrong keys a minute" in str(body["detail"])
    problem(right, 429, "rate-limited")
    assert read.status_code == 200


async def test_right_keys_do_not_count_as_wrong(limited: StartLimited) -> None:
    async with limited(wrong_keys=slow(1)) as api:
        for _ in range(3):
            answer = await api.post("/v1/events", decision(), validate_only="true")
            assert answer.status_code == 200


async def test_the_audit_trail_does_not_grow_with_what_is_refused_unasked(
    limited: StartLimited, seeded: Database
) -> None:
    async with limited(wrong_keys=slow(2)) as api:
        for _ in range(10):
            await api.post("/v1/events", decision(), key=WRONG)

    with seeded.connect() as connection:
        statuses = connection.execute("SELECT status FROM write_attempt").fetchall()
    assert statuses == [(401,), (401,)]


# Settings and addresses


async def test_the_limits_are_those_of_the_settings() -> None:
    limits = RequestLimits.of(Settings(), lambda: pytest.fail("memory needs no database"))

    assert limits.board is not None
    assert limits.board.limit.policy == '"board";q=1000;w=1'
    assert limits.database is not None
    assert limits.database.policy == '"database";q=200;w=10'
    assert limits.wrong_keys is not None
    assert limits.wrong_keys.policy == '"wrong-keys";q=30;w=60'


async def test_what_is_set_to_0_is_not_limited() -> None:
    none = Settings(rate_limit_board=0, rate_limit_database=0, rate_limit_wrong_keys=0)
    limits = RequestLimits.of(none, lambda: pytest.fail("memory needs no database"))

    assert (limits.board, limits.database, limits.wrong_keys) == (None, None, None)


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ({}, "memory"),
        ({"workers": 2}, "postgresql"),
        ({"workers": 2, "rate_limit_store": "memory"}, "memory"),
        ({"rate_limit_store": "redis://cache:6379/0"}, "redis://cache:6379/0"),
    ],
)
def test_several_workers_count_together(settings: Mapping[str, object], place: str) -> None:
    assert Settings.model_validate(settings).rate_limits_in == place


@pytest.mark.parametrize(
    ("host", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("testclient", "testclient"),
    ],
)
def test_a_client_is_an_address_or_a_network_of_64_bits(host: str, network: str) -> None:
    assert client_network(host) == network


def remaining(response: httpx2.Response) -> int:
    found = re.fullmatch(r'"database";r=(\d+);t=\d+', response.headers["ratelimit"])
    assert found is not None
    return int(found[1])
