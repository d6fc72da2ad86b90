"""Who may record and withdraw notices and incidents, once only, and what it would do before."""

from collections.abc import Mapping

import pytest

from app.vocabulary import KeyScope
from tests.api import Api, citation, problem
from tests.conftest import Database
from tests.notices.conftest import (
    AWAY,
    CHANGES,
    INCIDENTS,
    NOTICES,
    REASON,
    Body,
    incident,
    items,
    newest_change,
    notice,
    one,
    recorded,
    say,
    tell,
    write,
)

KINDS = ["notice", "correction", "withdrawal", "incident", "correction of one", "withdrawal of one"]


async def write_of(api: Api, kind: str, **fields: object) -> tuple[str, Body]:
    """Return the path and body of a write of this kind; what it needs is written already."""
    match kind:
        case "notice":
            return NOTICES, notice(**fields)
        case "correction":
            return NOTICES, notice(supersedes=(await say(api))["id"], **fields)
        case "withdrawal":
            return (await say(api))["undo"][0], {**REASON, **fields}
        case "incident":
            return INCIDENTS, incident(**fields)
        case "correction of one":
            return INCIDENTS, incident(supersedes=(await tell(api))["id"], **fields)
        case _:
            return (await tell(api))["undo"][0], {**REASON, **fields}


async def assert_barred(
    api: Api, key: str, path: str, body: Mapping[str, object], detail: str
) -> None:
    """Check that a key may not do this, nor see what it would do."""
    before = await newest_change(api)
    for parameters in ({}, {"validate_only": "true"}):
        told = problem(await api.post(path, body, key=key, **parameters), 403, "forbidden")
        assert told["detail"] == detail
    assert await newest_change(api) == before


# Who may


@pytest.mark.parametrize("kind", KINDS)
async def test_notices_and_incidents_need_a_key_with_their_scope(
    here: Api, database: Database, kind: str
) -> None:
    path, body = await write_of(here, kind)
    for scope in set(KeyScope) - {KeyScope.NOTICES}:
        key = await database.new_key(scope, name=f"stranger with {scope}")
        detail = f"The key 'stranger with {scope}' lacks the scope notices:write."
        await assert_barred(here, key, path, body, detail)
    problem(await here.post(path, body, key="cxs_nobody"), 401, "unauthorized")
    key = await database.new_key(KeyScope.NOTICES, name="reporter of notices")
    response = await here.post(path, body, key=key)
    assert response.status_code == 201, response.text


async def test_a_key_is_checked_before_the_body_is_read(here: Api, database: Database) -> None:
    key = await database.new_key(KeyScope.EVENTS)
    for path in (NOTICES, INCIDENTS):
        problem(await here.post(path, {"nonsense": 1}, key=key), 403, "forbidden")


@pytest.fixture
async def lithuanian(database: Database) -> str:
    """A key that may speak for Lithuania alone."""
    return await database.new_key(KeyScope.NOTICES, sides=["LT"], name="VSAT")


NOT_FOR_POLAND = "The key 'VSAT' may not speak for PL."
FOR_NOBODY = "The key 'VSAT' may only speak for LT: name the country."
STRANGERS: list[tuple[Body, str]] = [
    ({"country": "PL"}, NOT_FOR_POLAND),
    ({"country": "PL", "name": "Border Guard"}, NOT_FOR_POLAND),
    ({"name": "State Border Guard Service"}, FOR_NOBODY),
]


@pytest.mark.parametrize("issuer", [{"country": "LT"}, {"country": "LT", "name": "VSAT"}])
async def test_a_key_limited_to_a_side_speaks_for_its_country_of_any_place(
    here: Api, lithuanian: str, issuer: Body
) -> None:
    """What is limited is whom it speaks for, not what about."""
    body = notice(issuer=issuer, subjects={"crossings": [AWAY], "countries": ["PL"]})
    response = await here.post(NOTICES, body, key=lithuanian)
    assert response.status_code == 201, response.text
    response = await here.post(response.json()["undo"][0], REASON, key=lithuanian)
    assert response.status_code == 201, response.text


@pytest.mark.parametrize(("issuer", "detail"), STRANGERS)
async def test_a_key_limited_to_a_side_speaks_for_nobody_else(
    here: Api, lithuanian: str, issuer: Body, detail: str
) -> None:
    await assert_barred(here, lithuanian, NOTICES, notice(issuer=issuer), detail)


@pytest.mark.parametrize(("issuer", "detail"), STRANGERS)
async def test_a_key_limited_to_a_side_corrects_and_withdraws_nobody_elses_word(
    here: Api, lithuanian: str, issuer: Body, detail: str
) -> None:
    theirs = await say(here, issuer=issuer)
    correction = notice(supersedes=theirs["id"])
    await assert_barred(here, lithuanian, NOTICES, correction, detail)
    await assert_barred(here, lithuanian, theirs["undo"][0], REASON, detail)


async def test_a_key_limited_to_a_side_touches_no_story_but_its_own(
    here: Api, lithuanian: str
) -> None:
    theirs = await tell(here)
    detail = "The key 'VSAT' may only correct and withdraw its own incidents."
    correction = incident(supersedes=theirs["id"])
    await assert_barred(here, lithuanian, INCIDENTS, correction, detail)
    await assert_barred(here, lithuanian, theirs["undo"][0], REASON, detail)

    response = await here.post(INCIDENTS, incident(), key=lithuanian)
    assert response.status_code == 201, response.text
    response = await here.post(response.json()["undo"][0], REASON, key=lithuanian)
    assert response.status_code == 201, response.text


async def test_a_key_limited_to_a_side_corrects_its_countrys_word_and_may_contradict_any(
    here: Api, lithuanian: str
) -> None:
    ours, theirs = await say(here), await say(here, issuer={"country": "PL"})
    turned = notice(supersedes=ours["id"], issuer={"country": "PL"})
    await assert_barred(here, lithuanian, NOTICES, turned, NOT_FOR_POLAND)
    body = notice(supersedes=ours["id"], contradicts=[theirs["id"]])
    response = await here.post(NOTICES, body, key=lithuanian)
    assert response.status_code == 201, response.text
    assert response.json()["recorded_by"] == "VSAT"


# Once only


@pytest.mark.parametrize("kind", KINDS)
async def test_a_repeated_write_gets_the_first_answer_again_and_writes_nothing(
    here: Api, kind: str
) -> None:
    path, body = await write_of(here, kind)
    first = await here.post(path, body, idempotency_key="k")
    after_first = await newest_change(here)
    again = await here.post(path, body, idempotency_key="k")

    assert first.status_code == again.status_code == 201
    assert again.content == first.content
    for name in ("location", "change-number", "content-type"):
        assert again.headers[name] == first.headers[name]
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert await newest_change(here) == after_first == int(first.headers["change-number"])


@pytest.mark.parametrize("kind", KINDS)
async def test_the_same_key_with_another_body_is_refused(here: Api, kind: str) -> None:
    path, body = await write_of(here, kind)
    await here.post(path, body, idempotency_key="k")
    before = await newest_change(here)
    other = {**body, "citations": [citation(locator="line 2")]}
    problem(await here.post(path, other, idempotency_key="k"), 409, "idempotency-key-reused")
    assert await newest_change(here) == before


async def test_the_same_key_at_another_address_is_refused(here: Api) -> None:
    """Even where the body is the same: the withdrawal of another."""
    told, other, story = await say(here), await say(here), await tell(here)
    await here.post(told["undo"][0], REASON, idempotency_key="k")
    for untouched in (other, story):
        refused = await here.post(untouched["undo"][0], REASON, idempotency_key="k")
        problem(refused, 409, "idempotency-key-reused")
    assert (await one(here, NOTICES, other))["retraction"] is None
    assert (await one(here, INCIDENTS, story))["retraction"] is None


async def test_a_notice_that_differs_only_in_how_it_is_written_is_the_same(here: Api) -> None:
    body = notice(announced_at="2023-08-16T00:00:00+03:00", subjects={"borders": ["LT-BY"]})
    first = await here.post(NOTICES, body, idempotency_key="k")
    turned = dict(reversed(body.items()))
    turned |= {
        "announced_at": "2023-08-15T21:00:00.0Z",
        "subjects": {"crossings": [], "borders": ["BY-LT"]},
        "figures": [],
        "effective": {"until": None},
        "incident": None,
    }
    again = await here.post(NOTICES, turned, idempotency_key="k")
    assert again.headers["idempotent-replayed"] == "true"
    assert again.content == first.content


# What it would do


def as_preview(told: Body) -> Body:
    """Return the answer to a write as its preview should be: without what only time gives.

    What is to be withdrawn is there already, and keeps what it has.
    """
    unwritten = {"id": None, "change": None, "recorded_at": None}
    if told["retraction"] is not None:
        return {**told, "retraction": {**told["retraction"], **unwritten}}
    return {**told, **unwritten, "undo": []}


@pytest.mark.parametrize("kind", KINDS)
async def test_validate_only_tells_what_would_be_recorded_and_writes_nothing(
    here: Api, kind: str
) -> None:
    source = (await write(here, "/v1/sources", {"title": "Known before"}))["id"]
    cited = [{"source": source, "locator": None, "basis": "stated"}]
    fields: Body = {"citations": cited}
    if kind in {"notice", "correction"}:
        fields["effective"] = {"from": "2023-08-01T00:00:00Z"}
    path, body = await write_of(here, kind, **fields)
    pages = (NOTICES, INCIDENTS, CHANGES, "/v1/countries")
    before = [(await here.get(page)).content for page in pages]
    preview = await here.post(path, body, validate_only="true", idempotency_key="k")

    assert preview.status_code == 200, preview.text
    assert "location" not in preview.headers
    assert [(await here.get(page)).content for page in pages] == before
    assert preview.json() == as_preview(await write(here, path, body))


@pytest.mark.parametrize("kind", KINDS)
async def test_validate_only_has_null_for_the_ids_of_new_sources(here: Api, kind: str) -> None:
    source = (await write(here, "/v1/sources", {"title": "Known before"}))["id"]
    path, body = await write_of(here, kind, citations=[citation(), {"source": source}])
    before = await items(here, "/v1/sources")
    preview = (await here.post(path, body, validate_only="true")).json()

    assert (preview["retraction"] or preview)["citations"] == [
        {"source": None, "locator": "line 1", "basis": "stated"},
        {"source": source, "locator": None, "basis": "stated"},
    ]
    assert await items(here, "/v1/sources") == before


async def test_validate_only_adds_no_country_either(here: Api) -> None:
    body = notice(issuer={"country": "US"}, subjects={"countries": ["FR"]})
    before = (await here.get("/v1/countries")).content
    assert (await here.post(NOTICES, body, validate_only="true")).status_code == 200
    assert (await here.get("/v1/countries")).content == before


async def test_validate_only_ignores_the_idempotency_key(here: Api) -> None:
    first = await here.post(NOTICES, notice(), idempotency_key="k", validate_only="true")
    real = await here.post(NOTICES, notice(kind="context"), idempotency_key="k")
    again = await here.post(NOTICES, notice(), idempotency_key="k", validate_only="true")

    assert [each.status_code for each in (first, real, again)] == [200, 201, 200]
    assert "idempotent-replayed" not in again.headers
    assert again.json()["kind"] == "security_measure"
    assert await items(here, NOTICES) == [recorded(real.json())]
