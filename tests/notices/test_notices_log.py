"""What the change log keeps of notices and incidents, and that the check holds them to it."""

import hashlib
import re

import pytest
import rfc8785

from app.audit.service import find_faults
from app.embedded.server import SUPERUSER
from tests.api import Api
from tests.conftest import Database
from tests.marks import in_full
from tests.notices.conftest import (
    CHANGES,
    HERE,
    INCIDENTS,
    NOBODY,
    NOTICES,
    REASON,
    Body,
    incident,
    items,
    notice,
    say,
    tell,
    write_everything,
)

DERIVED = {
    NOTICES: {"contradicted_by", "superseded_by", "retraction", "stale", "undo"},
    INCIDENTS: {"superseded_by", "retraction", "undo"},
}


def stripped(path: str, told: Body) -> Body:
    """Return a notice or an incident without what is derived later."""
    return {name: value for name, value in told.items() if name not in DERIVED[path]}


def cited(told: Body) -> list[str]:
    return sorted({each["source"] for each in told["citations"]})


async def newest(api: Api) -> Body:
    """Return the newest change."""
    number = int((await api.get("/v1/crossings")).headers["change-number"])
    (found,) = await items(api, CHANGES, after=number - 1)
    return found


async def faults(database: Database) -> list[str]:
    async with database.session() as session:
        return [fault async for fault in find_faults(session)]


async def check_chain(api: Api) -> int:
    """Recompute every hash from what the pages say, and nothing else; return how many."""
    previous = bytes(32)
    changes = await items(api, CHANGES, limit=200)
    for change in changes:
        record = {name: value for name, value in change.items() if name != "hash"}
        previous = hashlib.sha256(previous + rfc8785.dumps(record)).digest()
        assert change["hash"] == previous.hex(), change["change"]
    return len(changes)


# The change log


async def test_every_write_is_exactly_one_change(here: Api) -> None:
    told = await write_everything(here)
    kinds = [(each["change"], each["kind"]) for each in await items(here, CHANGES, after=3)]
    assert kinds == [
        (4, "source"),
        (5, "incident"),
        (6, "notice"),
        (7, "notice"),
        (8, "notice"),
        (9, "notice"),
        (10, "decision"),
        (11, "incident"),
        (12, "incident"),
        (13, "incident"),
    ]
    assert told["withdrawn"]["retraction"]["change"] == 9
    assert told["gone"]["retraction"]["change"] == 13
    numbers = [told[name]["change"] for name in ("story", "claim", "denial", "correction")]
    assert numbers == [5, 6, 7, 8]


async def test_the_payload_is_what_was_recorded_and_nothing_that_came_of_it(here: Api) -> None:
    told = await write_everything(here)
    payloads = {each["change"]: each["payload"] for each in await items(here, CHANGES)}
    sources = {
        number: [each for each in await items(here, "/v1/sources") if each["change"] == number]
        for number in payloads
    }

    for name in ("claim", "denial", "correction"):
        number = told[name]["change"]
        told_sources = payloads[number].pop("sources")
        assert sorted(told_sources, key=lambda each: each["id"]) == sorted(
            sources[number], key=lambda each: each["id"]
        )
        assert payloads[number] == {
            "notices": [stripped(NOTICES, told[name])],
            "recorded_by": "reporter",
        }
    assert payloads[11] == {
        "incidents": [stripped(INCIDENTS, told["retold"])],
        "sources": sources[11],
        "recorded_by": "reporter",
    }
    assert payloads[9] == {
        "retractions": [
            {
                "notice": told["denial"]["id"],
                "incident": None,
                **told["withdrawn"]["retraction"],
            }
        ],
        "sources": sources[9],
        "recorded_by": "reporter",
    }
    assert payloads[13] == {
        "retractions": [
            {"notice": None, "incident": told["gone"]["id"], **told["gone"]["retraction"]}
        ],
        "sources": [],
        "recorded_by": "reporter",
    }


async def test_the_subjects_are_what_is_named_and_the_wider_places(here: Api) -> None:
    """Upward only: a notice about a border names none of its crossings."""
    told = await write_everything(here)
    subjects = {each["change"]: each["subjects"] for each in await items(here, CHANGES)}
    story, here_places = told["story"], {"borders": ["BY-LT"], "countries": ["BY", "LT"]}

    assert subjects[5] == {"incidents": [story["id"]], "sources": cited(story)}
    assert subjects[6] == {
        **here_places,
        "crossings": [HERE],
        "notices": [told["claim"]["id"]],
        "incidents": [story["id"]],
        "sources": cited(told["claim"]),
    }
    assert subjects[7] == {
        "crossings": [],
        "borders": [],
        "countries": ["US"],
        "notices": [told["denial"]["id"]],
        "incidents": [],
        "sources": cited(told["denial"]),
    }
    # What is corrected was about these too: whoever follows them is to hear of it.
    assert (subjects[8]["borders"], subjects[8]["countries"]) == (
        ["BY-LT", "BY-PL"],
        ["BY", "LT", "PL"],
    )
    assert subjects[8]["incidents"] == [story["id"]]
    assert subjects[9] == {
        **{name: subjects[7][name] for name in ("crossings", "borders", "countries", "notices")},
        "incidents": [],
        "sources": cited(told["withdrawn"]["retraction"]),
    }
    assert subjects[10]["incidents"] == [story["id"]]
    assert subjects[13] == {"incidents": [told["gone"]["id"]], "sources": []}


async def test_anyone_can_recompute_the_chain_over_notices_and_incidents(here: Api) -> None:
    await write_everything(here)
    assert await check_chain(here) == 13


@pytest.mark.parametrize("value", [-0.0, 0.1, *in_full(5e-324, 1.5e-300, 1e15, 123456789.12345679)])
async def test_the_chain_and_the_check_hold_over_figures_written_in_many_ways(
    here: Api, database: Database, value: float
) -> None:
    await say(here, figures=[{"value": value, "unit": "x"}])
    assert await check_chain(here) == 4
    assert await faults(database) == []


async def test_a_write_that_fails_leaves_no_number_behind(here: Api) -> None:
    told = await say(here)
    await say(here, supersedes=told["id"])
    for path, body, status in (
        (NOTICES, notice(supersedes=told["id"]), 409),
        (NOTICES, notice(subjects={"crossings": ["nowhere"]}), 422),
        (told["undo"][0], REASON, 409),
        (f"{NOTICES}/{NOBODY}/retraction", REASON, 404),
        (INCIDENTS, incident(supersedes=NOBODY), 422),
    ):
        assert (await here.post(path, body)).status_code == status
    await tell(here)
    assert [each["change"] for each in await items(here, CHANGES)] == [1, 2, 3, 4, 5, 6]
    assert await check_chain(here) == 6


# The check of the database


async def test_the_check_finds_nothing_wrong(here: Api, database: Database) -> None:
    await write_everything(here)
    assert await faults(database) == []


BESIDES = {
    "DELETE FROM notice WHERE change = 7": [
        "retraction has a notice_id that notice lacks",
        "citation has a notice_id that notice lacks",
        "no change tells of the country US",
    ],
    "UPDATE retraction SET notice_id = NULL WHERE change = 9": [
        "1 rows of retraction break ck_retraction_one_target",
    ],
}
"""What the check tells of besides: rules that are broken, and what refers to nothing."""


@pytest.mark.parametrize(
    ("statement", "number"),
    [
        ("""UPDATE notice SET text = '{"en": "Patrols end"}' WHERE change = 6""", 6),
        ("DELETE FROM notice WHERE change = 7", 7),
        *in_full(
            ("UPDATE notice SET figures = '[]' WHERE change = 6", 6),
            ("UPDATE notice SET contradicts = '{}' WHERE change = 7", 7),
            ("UPDATE notice SET supersedes = NULL WHERE change = 8", 8),
            ("UPDATE notice SET incident_id = NULL WHERE change = 6", 6),
            ("DELETE FROM citation USING notice n WHERE notice_id = n.id AND n.change = 7", 7),
            ("UPDATE retraction SET reason_text = 'x' WHERE change = 9", 9),
            ("UPDATE retraction SET notice_id = NULL WHERE change = 9", 9),
            ("DELETE FROM retraction WHERE change = 13", 13),
            ("UPDATE status_event SET incident_id = NULL WHERE change = 10", 10),
            ("""UPDATE incident SET title = '{"en": "Another"}' WHERE change = 11""", 11),
        ),
    ],
)  # fmt: skip
async def test_the_check_names_the_change_whose_row_was_tampered_with(
    here: Api, database: Database, statement: str, number: int
) -> None:
    await write_everything(here)
    with database.connect(SUPERUSER) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("ALTER TABLE retraction DROP CONSTRAINT ck_retraction_one_target")
        assert connection.execute(statement.encode()).rowcount > 0
    found = await faults(database)
    named = [fault for fault in found if re.search(r"change \d", fault)]
    assert [re.findall(r"\d+", fault) for fault in named] == [[str(number)]]
    besides = [re.sub(": [0-9a-f-]{36}$", "", fault) for fault in found if fault not in named]
    assert besides == BESIDES.get(statement, [])
