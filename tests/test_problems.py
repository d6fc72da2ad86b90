"""Everything that goes wrong is a problem that says what, where, and nothing of our insides."""

import json
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest
from psycopg import sql

from app.changes.ids import seed_id
from app.embedded.server import SERVICE, SUPERUSER
from app.http.problems import catalogue
from app.validation import PATTERNS
from app.vocabulary import KeyScope
from tests.api import SUMSKAS, Api, citation, crossing, decision, fields_of, problem, whole
from tests.conftest import Database, started
from tests.marks import full

Body = dict[str, Any]

EVENTS = "/v1/events"
STATUS = f"/v1/crossings/{SUMSKAS}/status"
FULL_SOURCE: Body = {
    "kind": "article",
    "title": "A title",
    "publisher": "A publisher",
    "published_at": "2023-11-13",
    "retrieved_at": "2023-11-14T00:00:00Z",
    "url": "https://example.org/1",
    "file_name": "1.html",
    "sha256": "0" * 64,
    "language": "lt",
    "note": "A note",
}
FULL_DECISION: Body = decision(
    effective={"from": "2030-01-01T00:00:00Z", "until": "2030-01-02T00:00:00Z"},
    traffic=["car"],
    to="LT",
    exceptions=[{"code": "other", "text": "Some"}],
    certainty="confirmed",
    precision="minute",
    announced_at="2023-01-01T00:00:00Z",
    citations=[citation(source=FULL_SOURCE)],
)
FULL_CROSSING: Body = crossing(
    aliases=["An alias"],
    location={"lat": 54.5, "lon": 25.5, "precision_km": 1.5},
    citations=[citation(source=FULL_SOURCE)],
)
FULL_CONFIRMATION: Body = {
    "sides": ["LT"],
    "traffic": ["car"],
    "to": "LT",
    "confirmed_at": "2023-01-01T00:00:00Z",
    "citations": [citation(source=FULL_SOURCE)],
}
WRITES: Mapping[str, Body] = {
    EVENTS: FULL_DECISION,
    "/v1/crossings": FULL_CROSSING,
    f"/v1/crossings/{SUMSKAS}/confirmations": FULL_CONFIRMATION,
    "/v1/sources": FULL_SOURCE,
}


async def send(
    api: Api, content: str | bytes, path: str = EVENTS, **headers: str
) -> httpx2.Response:
    sent = {
        "Authorization": f"Bearer {api.key}",
        "Content-Type": "application/json",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    return await api.client.post(path, content=content, headers=sent)


async def newest_change(api: Api) -> str:
    return str((await api.get("/v1/crossings")).headers["change-number"])


@pytest.fixture
async def nothing_written(seeded_api: Api) -> AsyncIterator[None]:
    """What the test sends leaves no change behind."""
    before = await newest_change(seeded_api)
    yield
    assert await newest_change(seeded_api) == before


# Addresses and methods


@pytest.mark.parametrize(
    "path", ["/v1/nothing", "/nothing", "/v1/crossings/", "/v1/", f"/v1/crossings/{SUMSKAS}/x"]
)
async def test_an_unknown_address_is_not_found(seeded_api: Api, path: str) -> None:
    body = problem(await seeded_api.get(path), 404, "not-found")
    assert path in str(body["detail"])


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", EVENTS, {"GET", "POST"}),
        ("PUT", "/v1/crossings", {"GET", "POST"}),
        ("DELETE", "/v1/sources", {"GET", "POST"}),
        ("POST", STATUS, {"GET"}),
        ("DELETE", f"/v1/crossings/{SUMSKAS}/confirmations", {"POST"}),
        ("POST", "/v1/changes", {"GET"}),
        ("POST", "/health/live", {"GET"}),
    ],
)
async def test_a_method_that_the_address_does_not_take_is_refused_with_those_it_does(
    seeded_api: Api, method: str, path: str, allowed: set[str]
) -> None:
    response = await seeded_api.client.request(method, path)
    problem(response, 405, "method-not-allowed")
    told = {name.strip() for name in response.headers["allow"].split(",")}
    assert told == allowed | ({"HEAD"} if "GET" in allowed else set())


async def test_a_refused_head_is_called_so(seeded_api: Api) -> None:
    response = await seeded_api.client.head("/v1/confirmations")
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
    assert "text/html" not in response.headers["content-type"]


# Bodies that are no JSON


@pytest.mark.usefixtures("nothing_written")
@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"{", id="cut off"),
        pytest.param(b"{'a': 1}", id="single quotes"),
        pytest.param(b"{} {}", id="two values"),
        pytest.param(b"not json", id="words"),
        pytest.param(b'{"status": "\xff"}', id="not UTF-8"),
        pytest.param(b'{"status": "\xed\xa0\x80"}', id="a surrogate in UTF-8"),
        pytest.param(json.dumps(FULL_DECISION).encode("utf-16"), id="UTF-16"),
        pytest.param(json.dumps(FULL_DECISION).encode("utf-32"), id="UTF-32"),
        pytest.param(b'{"status": "\x00"}', id="a raw control character"),
        pytest.param(b"[" * 100_000, id="deep and cut off"),
        pytest.param(b"[" * 100_000 + b"]" * 100_000, id="deep"),
        pytest.param(b'{"a":' * 25_000 + b"1" + b"}" * 25_000, id="deep in objects"),
        pytest.param(b"9" * 5_000, id="a number longer than any parser reads"),
    ],
)
async def test_a_body_that_is_not_json_is_malformed(seeded_api: Api, content: bytes) -> None:
    problem(await send(seeded_api, content), 400, "malformed")


@pytest.mark.usefixtures("nothing_written")
@pytest.mark.parametrize("path", [*WRITES])
@pytest.mark.parametrize("content", [b"", b"null", b"1", b'"x"', b"true", b"[]", b"[{}]", b"NaN"])
async def test_json_of_another_type_is_invalid(seeded_api: Api, path: str, content: bytes) -> None:
    body = problem(await send(seeded_api, content, path), 422, "invalid")
    assert fields_of(body) == ["body"]


@pytest.mark.usefixtures("nothing_written")
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("lat", "NaN"),
        ("lat", "Infinity"),
        ("lon", "-Infinity"),
        ("lat", "1e999"),
        ("precision_km", "1e308"),
        ("precision_km", "0"),
        ("confirm_within_days", "1e999"),
        ("confirm_within_days", "1" + "0" * 400),
        ("confirm_within_days", "-1"),
        ("confirm_within_days", "1.5"),
        ("confirm_within_days", "NaN"),
    ],
)
async def test_numbers_beyond_reason_are_invalid(seeded_api: Api, field: str, value: str) -> None:
    body = {**FULL_CROSSING, "confirm_within_days": 30}
    content = re.sub(rf'"{field}": [0-9.]+', f'"{field}": {value}', json.dumps(body))
    assert value in content
    told = problem(await send(seeded_api, content, "/v1/crossings"), 422, "invalid")
    assert [name.rpartition(".")[2] for name in fields_of(told)] == [field]


@pytest.mark.usefixtures("nothing_written")
async def test_json_as_deep_as_parsers_read_is_only_an_unknown_field(seeded_api: Api) -> None:
    deep = '{"deep":' * 500 + "1" + "}" * 500
    content = json.dumps(FULL_DECISION)[:-1] + f', "deep": {deep}}}'
    assert fields_of(problem(await send(seeded_api, content), 422, "invalid")) == ["deep"]


@pytest.mark.usefixtures("nothing_written")
async def test_a_name_given_twice_is_refused_rather_than_one_of_them_silently_taken(
    seeded_api: Api,
) -> None:
    """Whoever wrote both `open` and `closed` did not mean the one that happens to be last."""
    content = json.dumps(FULL_DECISION).replace(
        '"status": "closed"', '"status": "open", "status": "closed"'
    )
    told = problem(await send(seeded_api, content), 422, "invalid")
    assert told["errors"] == [{"in": "body", "field": "status", "message": "must be given once"}]


@pytest.mark.usefixtures("nothing_written")
async def test_a_name_given_twice_is_named_wherever_it_stands(seeded_api: Api) -> None:
    content = json.dumps(FULL_DECISION).replace('"code": ', '"code": "weather", "code": ', 1)
    assert fields_of(problem(await send(seeded_api, content), 422, "invalid")) == ["code"]


@pytest.mark.usefixtures("nothing_written")
@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/xml", "application/x-www-form-urlencoded", "application/jsonx", ""],
)
async def test_a_body_of_another_type_is_refused(seeded_api: Api, content_type: str) -> None:
    response = await send(seeded_api, json.dumps(FULL_DECISION), Content_Type=content_type)
    problem(response, 415, "unsupported-media-type")


@pytest.mark.usefixtures("nothing_written")
async def test_a_body_without_a_type_is_refused(seeded_api: Api) -> None:
    response = await seeded_api.client.post(
        EVENTS,
        content=json.dumps(FULL_DECISION).encode(),
        headers={"Authorization": f"Bearer {seeded_api.key}"},
    )
    assert "content-type" not in response.request.headers
    problem(response, 415, "unsupported-media-type")


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON"])
async def test_the_type_of_a_body_may_come_with_a_charset_and_in_any_case(
    api: Api, content_type: str
) -> None:
    response = await send(api, json.dumps(FULL_DECISION), Content_Type=content_type)
    assert response.status_code == 201, response.text


# Characters that no database keeps


def leaves(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Walk the places of every string in a body."""
    match value:
        case dict():
            for name, part in value.items():
                yield from leaves(part, (*path, name))
        case list():
            for place, part in enumerate(value):
                yield from leaves(part, (*path, place))
        case str():
            yield path
        case _:
            return


def replaced(body: Body, path: tuple[str | int, ...], change: Callable[[str], str]) -> Body:
    """Return the body with the string at ``path`` changed."""
    changed: Any = deepcopy(body)
    inner = changed
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = change(inner[path[-1]])
    found: Body = changed
    return found


@pytest.mark.usefixtures("nothing_written")
@pytest.mark.parametrize("path", [*WRITES])
@pytest.mark.parametrize(
    "character", [chr(0), chr(0xD800), chr(0xDFFF)], ids=["NUL", "high", "low"]
)
async def test_nul_and_lone_surrogates_are_invalid_in_every_string(
    seeded_api: Api, path: str, character: str
) -> None:
    body = WRITES[path]
    for leaf in leaves(body):
        for bad in (lambda _: character, lambda text: f"{text}{character}"):
            content = json.dumps(replaced(body, leaf, bad))
            assert r"\u" in content
            told = problem(await send(seeded_api, content, path), 422, "invalid")
            assert fields_of(told) == [".".join(str(step) for step in leaf)]


@pytest.mark.usefixtures("nothing_written")
@pytest.mark.parametrize("path", [*WRITES])
@pytest.mark.parametrize("name", ["\0", "\ud800", "", "__proto__", "ž" * 5000])
async def test_a_strange_name_of_a_field_is_invalid(seeded_api: Api, path: str, name: str) -> None:
    content = json.dumps({**WRITES[path], name: 1})
    problem(await send(seeded_api, content, path), 422, "invalid")


@pytest.mark.parametrize(
    "address",
    [
        f"/v1/crossings/{SUMSKAS}%00/status",
        "/v1/crossings/%ED%A0%80/status",
        "/v1/borders/BY-LT%00",
        "/v1/events/%00",
        "/v1/sources/%FF",
        f"{STATUS}?at=%00",
        f"{STATUS}?traffic=%ED%A0%80",
        f"{STATUS}?known_change=%00",
        f"{STATUS}?%00=1",
        f"{STATUS}?%FF=%FF",
        "/v1/crossings?id=a%00b",
        "/v1/crossings?country=%FF",
        "/v1/crossings?cursor=%00",
        "/v1/events?cursor=%ED%A0%80",
        "/v1/events?decision=%00",
        "/v1/events?limit=%D9%A1%00",
    ],
)
async def test_strange_characters_in_an_address_are_invalid(seeded_api: Api, address: str) -> None:
    problem(await seeded_api.client.get(address), 422, "invalid")


# Parameters


@full
async def test_no_operation_takes_a_parameter_that_it_does_not_have(seeded_api: Api) -> None:
    async for address, _ in operations(seeded_api):
        response = await seeded_api.get(address, surplus="1")
        assert fields_of(problem(response, 422, "invalid")) == ["surplus"], address


@full
async def test_no_operation_takes_a_parameter_twice_unless_it_is_a_list(seeded_api: Api) -> None:
    examples = {
        "at": "2023-09-01T00:00:00Z",
        "known_at": "2023-09-01T00:00:00Z",
        "start": "2023-09-01T00:00:00Z",
        "end": "2023-09-01T00:00:00Z",
        "known_change": "1",
        "after": "1",
        "limit": "1",
        "traffic": "car",
        "to": "LT",
        "border": "BY-LT",
        "country": "LT",
        "status": "closed",
        "mode": "road",
        "crossing": SUMSKAS,
        "kind": "declaration",
        "decision": "00000000-0000-0000-0000-000000000000",
        "cursor": "x",
    }
    seen = set()
    async for address, parameters in operations(seeded_api):
        for parameter in parameters:
            name = parameter["name"]
            if parameter["schema"].get("type") == "array":
                continue
            seen.add(name)
            twice: list[tuple[str, str | int | float | bool | None]] = [
                (name, examples.get(name, "1"))
            ] * 2
            response = await seeded_api.client.get(address, params=twice)
            told = problem(response, 422, "invalid")
            assert fields_of(told) == [name], address
            assert "must be given once" in str(told["detail"])
    assert seen >= examples.keys() - {"crossing"}


async def operations(api: Api) -> AsyncIterator[tuple[str, list[Body]]]:
    """Yield a working address of every documented public GET with its query parameters."""
    event = (await api.get(EVENTS)).json()["items"][0]
    source = (await api.get("/v1/sources")).json()["items"][0]
    filled = {
        "crossing_id": SUMSKAS,
        "border_id": "BY-LT",
        "event_id": event["id"],
        "source_id": source["id"],
        "code": "LT",
        "notice_id": str(seed_id("notice/wagner-presence", "notice")),
        "incident_id": str(seed_id("incident/two-of-six-2023", "incident")),
    }
    document = (await api.get("/openapi.json")).json()
    for path, methods in document["paths"].items():
        if "security" in methods.get("get", {"security": "of a write"}):
            continue  # without a key there is nothing but that to refuse
        parameters: Any = whole(document, methods["get"].get("parameters", []))
        address = path.format_map(filled)
        assert (await api.get(address)).status_code == 200, address
        yield address, [one for one in parameters if one["in"] == "query"]


# The shape


async def test_the_type_of_every_problem_leads_to_its_description(seeded_api: Api) -> None:
    for slug, kind in catalogue().items():
        response = await seeded_api.get(f"/problems/{slug}")
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/plain; charset=utf-8"
        assert response.text == f"{kind.status} {kind.title}\n\n{kind.__doc__}\n"
    problem(await seeded_api.get("/problems/no-such-problem"), 404, "not-found")


def test_every_problem_says_in_a_sentence_what_it_means() -> None:
    for slug, kind in catalogue().items():
        assert re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", slug)
        assert kind.__doc__
        assert kind.__doc__.endswith(".")
        assert 400 <= kind.status < 600


async def test_a_problem_has_these_fields_and_each_fault_of_the_input_its_own(
    seeded_api: Api,
) -> None:
    response = await seeded_api.get(STATUS, at="never", surplus="1", traffic="tram")
    assert response.json() == {
        "type": "/problems/invalid",
        "title": "The input is not valid",
        "status": 422,
        "detail": "surplus: is not a parameter of this operation; it has: as, at, citizen_of,"
        " empty, height_m, known_at, known_change, to, traffic, weight_kg",
        "errors": [
            {
                "in": "query",
                "field": "surplus",
                "message": "is not a parameter of this operation; it has: as, at, citizen_of,"
                " empty, height_m, known_at, known_change, to, traffic, weight_kg",
            }
        ],
    }
    response = await seeded_api.get(STATUS, at="never", traffic="tram")
    faults = response.json()["errors"]
    assert [(one["in"], one["field"]) for one in faults] == [("query", "at"), ("query", "traffic")]


# Keys


@pytest.mark.parametrize("path", [*WRITES])
@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer x",
        "Bearer cxs_12345678_short",
        "Basic dXNlcjpwYXNz",
        "Bearer \xff",
        "Bearer " + "x" * 10_000,
    ],
)
async def test_a_write_without_a_valid_key_is_unauthorized(
    seeded_api: Api, path: str, authorization: str | None
) -> None:
    headers: dict[bytes, bytes] = {}
    if authorization is not None:
        headers[b"Authorization"] = authorization.encode("latin-1")
    response = await seeded_api.client.post(path, json=WRITES[path], headers=headers)
    assert problem(response, 401, "unauthorized") == {
        "type": "/problems/unauthorized",
        "title": "A valid API key is needed",
        "status": 401,
        "detail": "Send a valid key: Authorization: Bearer KEY.",
    }
    assert response.headers["www-authenticate"] == "Bearer"


async def test_a_key_that_is_not_for_this_is_forbidden(api: Api, seeded: Database) -> None:
    key = await seeded.new_key(KeyScope.NOTICES, name="notices only")
    for path, body in WRITES.items():
        scope = "admin" if path == "/v1/crossings" else "events:write"
        response = await api.post(path, body, key=key)
        assert problem(response, 403, "forbidden") == {
            "type": "/problems/forbidden",
            "title": "The API key does not allow this",
            "status": 403,
            "detail": f"The key 'notices only' lacks the scope {scope}.",
        }


# Faults of ours


async def test_a_fault_of_ours_is_told_without_a_word_about_our_insides(
    api: Api, seeded: Database
) -> None:
    """A table that is gone makes every query fail as only a bug would."""
    paths = (f"{STATUS}?at=2023-09-01T00:00:00Z", EVENTS, "/v1/crossings?mode=road")
    with renamed(seeded, "status_event"):
        answers = [await api.get(path) for path in paths]
        answers.append(await api.post(EVENTS, decision(), idempotency_key="kept-for-later"))
    for response in answers:
        assert problem(response, 500, "internal") == {
            "type": "/problems/internal",
            "title": "Internal error",
            "status": 500,
            "detail": "This is an error of the service. It has been logged.",
        }
        told = f"{response.text} {response.headers}".lower()
        for word in ("status_event", "relation", "select", "psycopg", "sqlalchemy", "traceback"):
            assert word not in told
    assert (await api.get(STATUS)).status_code == 200
    retry = await api.post(EVENTS, decision(), idempotency_key="kept-for-later")
    assert retry.status_code == 201
    assert "idempotent-replayed" not in retry.headers


@contextmanager
def renamed(database: Database, table: str) -> Iterator[None]:
    """Have a table under another name for a while."""
    statement = sql.SQL("ALTER TABLE {} RENAME TO {}")
    names = sql.Identifier(table), sql.Identifier("gone")
    with database.connect(SUPERUSER) as connection:
        connection.execute(statement.format(*names))
        try:
            yield
        finally:
            connection.execute(statement.format(*reversed(names)))


async def test_while_the_database_is_away_every_question_and_write_is_told_to_come_back(
    seeded: Database, tmp_path: Path
) -> None:
    key = await seeded.new_key()
    dead = f"postgresql://{SERVICE}@/{seeded.name}?host={tmp_path}&port=5432"
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(dead)
    async with pointed_at(dead) as client:
        answers = [await client.get(path) for path in (STATUS, EVENTS, "/health/ready")]
        headers = {"Authorization": f"Bearer {key}"}
        answers.append(await client.post(EVENTS, json=decision(), headers=headers))
        live = await client.get("/health/live")
    for response in answers:
        body = problem(response, 503, "unavailable")
        assert int(response.headers["retry-after"]) > 0
        assert [*body] == ["type", "title", "status", "detail"]
        told = f"{response.text} {response.headers}"
        for word in (str(tmp_path), SERVICE, seeded.name, "psycopg", "socket"):
            assert word not in told
    assert live.json() == {"status": "live"}


@asynccontextmanager
async def pointed_at(url: str) -> AsyncIterator[httpx2.AsyncClient]:
    """Give a client of the real application on the database at ``url``, be there one or not."""
    async with started(url) as (_, client):
        yield client


PLAIN = re.compile(r"should|validation|pattern|Input|parsing|\^")
"""Of the validator's own words."""


@pytest.mark.usefixtures("nothing_written")
@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"citations": []}, "citations: must have at least 1 item"),
        ({"sides": ["LT", "BY", "PL"]}, "sides: must have at most 2 items"),
        ({"sides": ["lt"]}, "sides.0: must be an ISO 3166-1 alpha-2 code, such as LT"),
        ({"crossings": ["No Slug"]}, "crossings.0: must consist of lower-case letters, digits"),
        ({"status": "shut"}, "status: must be one of: open, restricted, closed"),
        ({"status": None}, "status: must be one of: open, restricted, closed"),
        ({"certainty": 7}, "certainty: must be one of: confirmed, reported, unconfirmed"),
        ({"reason": None}, "reason: must be an object"),
        ({"reason": {}}, "reason.code: is required"),
        ({"colour": "red"}, "colour: is not a known field"),
        ({"supersedes": ["7"]}, "supersedes.0: must be a UUID"),
        ({"crossings": "all"}, "crossings: must be a list"),
        ({"effective": {"from": "2026-02-30T00:00:00Z"}}, "effective.from: is not a date and time"),
        ({"citations": [{"source": {"title": "x" * 301}}]}, "must have at most 300 characters"),
        ({"citations": [{"source": {"title": ""}}]}, "must contain at least one visible character"),
    ],
)
async def test_what_is_wrong_is_said_in_plain_words(
    seeded_api: Api, fields: Body, told: str
) -> None:
    body = problem(await seeded_api.post(EVENTS, decision(**fields)), 422, "invalid")

    assert told in str(body["detail"])
    assert not PLAIN.search(str(body["detail"]))


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("limit=0", "limit: must be at least 1"),
        ("limit=some", "limit: must be a whole number"),
        ("border=BYLT", "border: must be two country codes, such as BY-LT"),
        ("traffic=tram", "traffic: must be one of: pedestrian, bicycle, motorcycle, car"),
    ],
)
async def test_what_is_wrong_with_a_question_is_said_in_plain_words(
    seeded_api: Api, query: str, told: str
) -> None:
    body = problem(await seeded_api.get(f"/v1/crossings?{query}"), 422, "invalid")

    assert told in str(body["detail"])
    assert not PLAIN.search(str(body["detail"]))


async def test_every_pattern_of_the_api_has_a_sentence(seeded_api: Api) -> None:
    """A regular expression tells a person nothing."""
    document = (await seeded_api.get("/openapi.json")).text
    patterns = set(re.findall(r'"pattern":\s*"(\^[^"]*)"', document))
    told = {json.loads(f'"{one}"') for one in patterns}

    # Of what only we write, and of texts, which have a sentence of their own.
    told -= {"^[0-9]{19}$", "^[0-9]+$"}
    assert {one for one in told if not one.startswith("^[^")} <= PATTERNS.keys()
