"""Lines of the log: one JSON object each if that is asked for, with the id of the request."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests import clients
from tests.api import SUMSKAS, Api, decision
from tests.conftest import Database
from tests.marks import full
from tests.servers import service
from tests.waiting import eventually

WELL_FORMED = "a1B2-c3.d4_e5~f6"


@pytest.mark.parametrize("brought", ["short", "x" * 129, "has space", "quote\"'<>", "semi;colon12"])
async def test_an_id_that_is_not_well_formed_is_replaced(seeded_api: Api, brought: str) -> None:
    answer = await seeded_api.client.get("/v1/sources", headers={"X-Request-Id": brought})

    assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])


@pytest.mark.parametrize(
    "path", ["/v1/sources", "/v1/nothing", f"/v1/crossings/{SUMSKAS}/status", "/"]
)
async def test_an_answer_has_the_id_that_the_request_brought(seeded_api: Api, path: str) -> None:
    answer = await seeded_api.client.get(path, headers={"X-Request-Id": WELL_FORMED})

    assert answer.headers.get_list("x-request-id") == [WELL_FORMED]


async def test_the_board_gives_no_id_of_its_own(seeded_api: Api) -> None:
    """What it answers may be kept by a cache that many share."""
    assert "x-request-id" not in (await seeded_api.get(f"/v1/crossings/{SUMSKAS}/status")).headers


@full
async def test_a_line_tells_who_wrote_what_and_how_it_went(
    seeded: Database, tmp_path: Path
) -> None:
    log, key = tmp_path / "log", await seeded.new_key()
    with service(
        log, database_url=seeded.url, worker=False, more={"CROSSINGS_LOG_FORMAT": "json"}
    ) as running:
        answers = [
            clients.post(f"{running.url}/v1/events", json=decision(), headers=headers)
            for headers in (
                {"Authorization": f"Bearer {key}"},
                {"Authorization": "Bearer cxs_wrong", "X-Request-Id": WELL_FORMED},
            )
        ]
        clients.get(f"{running.url}/v1/sources")
        eventually(lambda: len(requests_in(log)) == 2)

    written, refused = requests_in(log)
    assert written["request_id"] == answers[0].headers["x-request-id"]
    assert (written["method"], written["route"]) == ("POST", "/v1/events")
    assert (written["status"], written["level"]) == (201, "info")
    assert written["key"] in str(key)
    assert written["duration_ms"] > 0
    assert written["timestamp"].endswith("Z")
    assert (refused["status"], refused["request_id"]) == (401, WELL_FORMED)
    assert "key" not in refused


def requests_in(log: Path) -> list[dict[str, Any]]:
    lines = [one for one in log.read_text(encoding="utf-8").splitlines() if one.startswith("{")]
    return [found for one in lines if (found := json.loads(one)).get("route") == "/v1/events"]
