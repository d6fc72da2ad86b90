"""Whom to ask about a side: recorded with the details, cited, and on the page."""

import re
from typing import Any

import pytest

from app.audit.service import find_faults
from app.places.phones import check_phone, readable_phone
from tests.api import SUMSKAS, Api, citation, crossing, fields_of, problem
from tests.conftest import Database

Body = dict[str, Any]

HERE = f"/v1/crossings/{SUMSKAS}"
GUARD: Body = {
    "side": "LT",
    "authority": "Valstybės sienos apsaugos tarnyba",
    "phone": "+37031234567",
    "email": "ask@example.org",
    "url": "https://example.org/contacts?a=1&b=2",
    "address": "Vilnius",
}
NOTHING = dict.fromkeys(("phone", "email", "url", "address"))
CITED: Body = {"citations": [citation()]}


@pytest.mark.parametrize("number", ["+37031234567", "+375152450911", "+48123456789"])
def test_a_phone_is_written_as_people_write_it(number: str) -> None:
    check_phone(number)

    assert readable_phone(number).replace(" ", "").replace("-", "") == number
    assert " " in readable_phone(number)


async def test_a_crossing_has_the_contacts_that_it_was_posted_with(api: Api) -> None:
    some = [GUARD, {"side": "BY", "authority": "Гаспагранкамітэт", "email": "a@example.by"}]
    response = await api.post("/v1/crossings", crossing("new-crossing", contacts=some))

    assert response.status_code == 201, response.text
    assert response.json()["contacts"] == [GUARD, NOTHING | some[1]]


async def test_each_version_has_its_own_and_the_log_is_whole(api: Api, database: Database) -> None:
    """What is known then has the contacts of then; without any, the log does not mention them."""
    first = await api.patch(HERE, CITED | {"contacts": [GUARD]})
    second = await api.patch(HERE, CITED | {"aliases": ["Other"]})
    third = await api.patch(HERE, CITED | {"contacts": []})

    assert [one.json()["contacts"] for one in (first, second, third)] == [[GUARD], [GUARD], []]
    with_some, with_none = [
        (await api.get("/v1/changes", after=one.json()["version"] - 1, limit=1)).json()["items"][0][
            "payload"
        ]["crossings"][0]
        for one in (first, third)
    ]
    assert with_some["contacts"] == [GUARD]
    assert "contacts" not in with_none
    async with database.session() as session:
        assert [one async for one in find_faults(session)] == []


UNREACHABLE: list[tuple[Body, str]] = [
    ({"side": "PL"}, "contacts"),
    ({"authority": " "}, "contacts.0.authority"),
    ({"phone": "8 5 271 9305"}, "contacts.0.phone"),
    ({"phone": "+370312345"}, "contacts.0.phone"),
    ({"phone": "+999123456789"}, "contacts.0.phone"),
    ({"email": "nobody"}, "contacts.0.email"),
    ({"email": "a b@example.org"}, "contacts.0.email"),
    ({"url": "javascript:alert(1)"}, "contacts.0.url"),
    (NOTHING, "contacts.0"),
    ({"fax": "+37031234567"}, "contacts.0.fax"),
]


async def test_what_reaches_nobody_is_refused(api: Api) -> None:
    for fields, field in UNREACHABLE:
        response = await api.patch(HERE, CITED | {"contacts": [GUARD | fields]})

        assert set(fields_of(problem(response, 422, "invalid"))) == {field}, fields


async def test_the_page_says_whom_to_ask_where_the_status_is_unknown(api: Api) -> None:
    await api.post("/v1/crossings", crossing("new-crossing", contacts=[GUARD]))
    page = (await api.client.get("/crossings/new-crossing")).text
    (ask,) = re.findall(r'<p class="ask">(.*?)</p>', page, re.DOTALL)

    assert GUARD["authority"] in ask
    assert 'href="tel:+37031234567">+370 312 34567</a>' in ask
    whole = page.partition('id="contacts"')[2]
    assert 'href="mailto:ask@example.org"' in whole
    assert 'href="https://example.org/contacts?a=1&amp;b=2"' in whole


async def test_without_contacts_the_page_leads_to_the_official_pages_of_its_facts(
    seeded_api: Api,
) -> None:
    listed = (await seeded_api.get("/v1/crossings", status="unknown", border="BY-LT")).json()
    pages = [
        (await seeded_api.client.get(f"/crossings/{one['id']}")).text for one in listed["items"]
    ]
    lines = [re.findall(r'<p class="ask">(.*?)</p>', page, re.DOTALL) for page in pages]

    assert lines
    assert {len(line) for line in lines} == {1}
    assert any('class="original"' in line for (line,) in lines)
    closed = (await seeded_api.client.get(f"/crossings/{SUMSKAS}")).text
    assert 'class="ask"' not in closed
