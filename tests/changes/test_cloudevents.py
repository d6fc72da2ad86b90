"""The envelope of a change, held against the public library of the standard."""

import json
from collections.abc import Mapping

import pytest
from cloudevents.core.formats.json import JSONFormat

from app.changes.cloudevents import CloudEvent, enveloped
from tests.api import Api
from tests.conftest import Database, started
from tests.faults.servers import all_changes
from tests.streams import reading
from tests.waiting import PATIENCE, until


def change(
    kind: str = "decision",
    payload: Mapping[str, str] | None = None,
    subjects: Mapping[str, list[str]] | None = None,
) -> dict[str, object]:
    return {
        "change": 58,
        "kind": kind,
        "recorded_at": "2026-11-24T09:00:00.123456Z",
        "subjects": subjects or {},
        "payload": payload or {},
        "hash": "ab" * 32,
    }


async def test_every_change_of_the_seeds_is_a_cloud_event(seeded_api: Api) -> None:
    for told in await all_changes(seeded_api):
        written = json.dumps(enveloped(told))
        event = JSONFormat().read(None, written)
        number, kind = told["change"], told["kind"]

        assert event.get_specversion() == "1.0"
        assert event.get_source() == "/v1/changes"
        assert event.get_type() == f"crossing-status.change.{kind}"
        assert event.get_id() == told["hash"]
        assert event.get_extension("sequence") == f"{number:019}"
        assert event.get_extension("recordedtime") == told["recorded_at"]
        assert event.get_datacontenttype() == "application/json"
        assert event.get_data() == told
        assert CloudEvent.model_validate_json(written).data.change == number


@pytest.mark.parametrize(
    ("subjects", "subject"),
    [
        ({"crossings": ["a"], "borders": ["BY-LT"]}, "crossings/a"),
        ({"crossings": ["a", "b"], "borders": ["BY-LT"]}, "borders/BY-LT"),
        (
            {"crossings": ["a", "b"], "borders": ["BY-LT", "BY-PL"], "countries": ["BY"]},
            "countries/BY",
        ),
        ({"sources": ["x"]}, "sources/x"),
        ({"crossings": ["a", "b"]}, None),
    ],
)
def test_its_subject_is_the_narrowest_that_is_one(
    subjects: dict[str, list[str]], subject: str | None
) -> None:
    assert enveloped(change(subjects=subjects)).get("subject") == subject


def test_its_time_is_when_a_change_came_due() -> None:
    due = "2026-11-24T08:59:59Z"
    told = enveloped(change("effective", {"at": due}))

    assert (told["time"], told["recordedtime"]) == (due, "2026-11-24T09:00:00.123456Z")


async def test_the_stream_has_it_if_asked_to(seeded: Database) -> None:
    async with started(seeded.url) as (service, client):
        assert await service.stream.reached(1, within=PATIENCE)
        async with reading(service, "after=0&envelope=cloudevents&kind=crossing") as reader:
            log = (await client.get("/v1/changes?kind=crossing&limit=200")).json()["items"]
            await until(lambda: len(reader.events) > len(log))

    events = reader.events[1:]
    assert [(one.id, one.name) for one in events] == [(one["change"], "crossing") for one in log]
    assert [one.data for one in events] == [enveloped(one) for one in log]
