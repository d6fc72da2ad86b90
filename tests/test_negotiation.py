"""Of several forms a reader gets the one that it likes best, and HEAD tells of the same as GET."""

import pytest

from app.http.negotiation import accepts_gzip, preferred, weights
from app.languages.languages import negotiated
from tests.api import Api

JSON, STREAM = "application/json", "text/event-stream"
PAGE, PROBLEM = "text/html; charset=utf-8", "application/problem+json"
FORMS = [
    ("", JSON),
    ("*/*", JSON),
    (STREAM, STREAM),
    ("Text/Event-Stream", STREAM),
    (f"{STREAM};q=0", JSON),
    (f"{STREAM};q=0.0, */*", JSON),
    (f"{STREAM}; q=0.3, {JSON}; q=0.2", STREAM),
    (f"{STREAM};q=0.2, {JSON};q=0.3", JSON),
    (f"{STREAM}, {JSON}", JSON),
    (f"{STREAM}, */*;q=0.1", STREAM),
    ("text/*", STREAM),
    (f"text/*, {STREAM};q=0.1, {JSON};q=0.5", JSON),
    (f"{JSON};q=0, */*;q=0.1", STREAM),
    ("text/html, application/xhtml+xml, */*;q=0.8", JSON),
    ("image/png", JSON),
    (f"{STREAM};q=2, {JSON};q=0.1", JSON),
    (f"{STREAM};charset=utf-8;q=0.9, {JSON};q=0.5", STREAM),
]


@pytest.mark.parametrize(("accept", "form"), FORMS)
def test_the_form_that_is_liked_best_is_the_answer(accept: str, form: str) -> None:
    assert preferred(accept, (JSON, STREAM)) == form


@pytest.mark.parametrize(("accept", "form"), FORMS)
async def test_changes_come_in_the_form_asked_for_to_head_and_to_get(
    seeded_api: Api, accept: str, form: str
) -> None:
    told = {}
    # A stream has no end: its headers are asked for alone.
    for method in ("HEAD",) if form == STREAM else ("HEAD", "GET"):
        headers = {"Accept": accept, "X-Request-Id": "the-same-for-both"}
        answer = await seeded_api.client.request(method, "/v1/changes", headers=headers)
        told[method] = answer
        assert answer.status_code == 200
        assert answer.headers["content-type"] == form
        assert "Accept" in answer.headers["vary"].split(", ")
        assert bool(answer.content) == (method == "GET")
    if "GET" in told:
        assert told["HEAD"].headers == told["GET"].headers


async def test_head_refuses_what_get_refuses(seeded_api: Api) -> None:
    for accept in (JSON, STREAM):
        headers = {"Accept": accept}
        parameters = {"after": "yesterday"}
        answers = [
            await seeded_api.client.request(
                method, "/v1/changes", params=parameters, headers=headers
            )
            for method in ("HEAD", "GET")
        ]
        assert {answer.status_code for answer in answers} == {422}


async def test_the_lines_of_one_header_count_together(seeded_api: Api) -> None:
    headers = [("Accept", f"{JSON};q=0.5"), ("Accept", STREAM)]
    answer = await seeded_api.client.head("/v1/changes", headers=headers)
    assert answer.headers["content-type"] == STREAM


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("text/html,application/xhtml+xml,*/*;q=0.8", PAGE),
        ("text/html", PAGE),
        ("text/html;q=0", PROBLEM),
        ("application/json, text/html;q=0.5", PROBLEM),
        ("*/*", PROBLEM),
    ],
)
async def test_a_problem_is_a_page_to_who_likes_pages_best(
    seeded_api: Api, accept: str, form: str
) -> None:
    for method in ("HEAD", "GET"):
        answer = await seeded_api.client.request(
            method, "/crossings/nowhere", headers={"Accept": accept}
        )
        assert (answer.status_code, answer.headers["content-type"]) == (404, form)
        assert "Accept" in answer.headers["vary"].split(", ")


@pytest.mark.parametrize(
    ("accepted", "is_gzip"),
    [
        ("gzip", True),
        ("GZIP;q=0.001", True),
        ("gzip;q=0", False),
        ("*;q=0, gzip", True),
        ("*", True),
        ("*;q=0", False),
        ("gzip;q=0, *", False),
        ("gzip;q=0.5, identity", False),
        ("br, gzip;q=0.5, identity;q=0.5", True),
        ("br", False),
        ("", False),
    ],
)
async def test_gzip_is_for_who_likes_it_no_less_than_the_bare_answer(
    seeded_api: Api, accepted: str, *, is_gzip: bool
) -> None:
    assert accepts_gzip(accepted) == is_gzip
    for path in ("/v1/crossings", "/v1/events", "/feeds/events.csv"):
        answer = await seeded_api.client.get(path, headers={"Accept-Encoding": accepted})
        assert ("content-encoding" in answer.headers) == is_gzip, path


@pytest.mark.parametrize(
    ("accepted", "code"),
    [
        ("lt", "lt"),
        ("lt;q=0, pl", "pl"),
        ("pl;q=0.5, be-BY;q=0.8", "be"),
        ("lt;q=nan, ru", "ru"),
        ("lt ; q=0.9 , ru ; q=0.95", "ru"),
        ("lv-LV, en;q=0.5", "lv"),
        ("uk-UA, ru;q=0.9", "uk"),
        ("de", "en"),
    ],
)
def test_the_language_that_is_liked_best_is_that_of_the_page(accepted: str, code: str) -> None:
    assert negotiated(accepted).code == code


def test_a_weight_that_is_none_says_nothing() -> None:
    assert weights("a;q=0.1234, b;q=-1, c;q=1.5, d;q=, e;q=1.000, f;level=1;q=0.5, ,") == {
        "e": 1.0,
        "f": 0.5,
    }
