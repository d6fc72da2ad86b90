"""What people read has something to be seen, wherever it is written."""

from copy import deepcopy
from typing import Any

import pytest

from app.access.service import create_key
from app.errors import Invalid
from app.vocabulary import KeyScope
from tests.api import SUMSKAS, Api, citation, crossing, decision, fields_of, problem
from tests.conftest import Database

Body = dict[str, Any]

CITED: Body = {"citations": [citation(locator="line 1", source={"title": "A decree"})]}
SOURCE: Body = {"title": "A", "publisher": "B", "file_name": "c.html", "note": "D"}
NOTICE: Body = {
    "kind": "security_measure",
    "issuer": {"country": "LT", "name": "VSAT"},
    "subjects": {"crossings": [SUMSKAS]},
    "text": {"en": "Patrols are doubled"},
    "figures": [{"value": 1, "unit": "patrol", "of": "Guards", "hedge": "may be"}],
    **CITED,
}
DECISION = decision(
    exceptions=[{"code": "other", "text": "Some"}],
    reason={"code": "other", "text": "Why"},
    **CITED,
)
RETRACTION: Body = {"reason": {"code": "other", "text": "Told twice"}}
NOBODY = "00000000-0000-0000-0000-000000000000"

# Each text, by where it is written and by its path in the body.
TEXTS: list[tuple[str, Body, str]] = [
    *(("/v1/sources", SOURCE, name) for name in SOURCE),
    ("/v1/events", DECISION, "reason.text"),
    ("/v1/events", DECISION, "exceptions.0.text"),
    ("/v1/events", DECISION, "citations.0.locator"),
    ("/v1/events", DECISION, "citations.0.source.title"),
    (f"/v1/events/{NOBODY}/retraction", RETRACTION, "reason.text"),
    (f"/v1/notices/{NOBODY}/retraction", RETRACTION, "reason.text"),
    (f"/v1/crossings/{SUMSKAS}/confirmations", {"sides": ["LT"], **CITED}, "citations.0.locator"),
    *(
        ("/v1/notices", NOTICE, path)
        for path in ("issuer.name", "text.en", "figures.0.unit", "figures.0.of", "figures.0.hedge")
    ),
    *(
        ("/v1/incidents", {"title": {"en": "A"}, "summary": {"en": "B"}, **CITED}, path)
        for path in ("title.en", "summary.en")
    ),
    ("/v1/crossings", crossing(), "names.0.name"),
    ("/v1/crossings", crossing(aliases=["A"]), "aliases.0"),
    ("/v1/subscriptions", {"url": "https://example.org/", "description": "Ours"}, "description"),
]
# A space, others of them, what joins or directs text, a lone accent, and fillers.
BLANKS = [" ", "\t\n", "\u00a0\u3000", "\u200b", "\u200e\u2060\ufeff", "\u0301", "\u2800\u3164"]


def put(body: Body, path: str, value: str) -> Body:
    """Return the body with another value at ``path``."""
    found: Any = deepcopy(body)
    within = found
    *above, last = [int(step) if step.isdecimal() else step for step in path.split(".")]
    for step in above:
        within = within[step]
    within[last] = value
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(("address", "body", "path"), TEXTS)
async def test_a_text_in_which_nothing_is_to_be_seen_is_refused_by_the_name_of_its_field(
    seeded_api: Api, address: str, body: Body, path: str
) -> None:
    for blank in ("", *BLANKS):
        response = await seeded_api.post(address, put(body, path, blank))
        told = problem(response, 422, "invalid")
        assert fields_of(told) == [path], repr(blank)
        assert "must contain at least one visible character" in str(told["detail"])


async def test_a_revision_with_a_blank_name_is_refused(seeded_api: Api) -> None:
    body = {"names": [{"lang": "lt", "side": "LT", "name": "\u200b"}], **CITED}
    response = await seeded_api.patch(f"/v1/crossings/{SUMSKAS}", body)
    assert fields_of(problem(response, 422, "invalid")) == ["names.0.name"]


@pytest.mark.parametrize("text", ["!", "–", "7", "Š", "я", "国", "🚗", "\u200b.", " x "])
async def test_one_visible_character_is_enough(api: Api, text: str) -> None:
    response = await api.post("/v1/sources", {"title": text})
    assert (response.status_code, response.json()["title"]) == (201, text)


@pytest.mark.parametrize("name", ["", " ", "\u200b"])
async def test_a_key_is_given_a_name_that_can_be_read(database: Database, name: str) -> None:
    with pytest.raises(Invalid, match="name: must contain"):
        async with database.session() as session:
            await create_key(session, name=name, scopes=[KeyScope.ADMIN])


async def test_a_blank_text_of_an_older_release_is_answered_as_it_is(
    api: Api, seeded: Database
) -> None:
    """The log is never rewritten: what was accepted once can still be read."""
    said = (await api.post("/v1/notices", NOTICE)).json()
    decided = (await api.post("/v1/events", DECISION)).json()["events"][0]
    with seeded.connect() as connection:
        for statement in (
            "ALTER TABLE notice DISABLE TRIGGER append_only",
            "ALTER TABLE status_event DISABLE TRIGGER append_only",
            "UPDATE notice SET text = '{\"en\": \" \"}', issuer_name = ' '",
            "UPDATE status_event SET reason_text = ' '",
        ):
            connection.execute(statement.encode())

    found = await api.get(f"/v1/notices/{said['id']}")
    event = await api.get(f"/v1/events/{decided['id']}")

    assert (found.json()["text"], found.json()["issuer"]["name"]) == ({"en": " "}, " ")
    assert event.json()["reason"]["text"] == " "
    withdrawn = await api.post(said["undo"][0], RETRACTION)
    assert (withdrawn.status_code, withdrawn.json()["text"]) == (201, {"en": " "})
