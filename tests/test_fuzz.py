"""The API fuzzed from its own OpenAPI document, over real HTTP, on the seeds."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import clients
from tests.api import whole
from tests.commands import run
from tests.marks import full
from tests.servers import service
from tests.waiting import PATIENCE

METHODS = {"get", "post", "patch", "delete"}


@pytest.mark.timeout(3_600)
@pytest.mark.parametrize(
    ("phases", "examples"),
    [
        pytest.param("fuzzing", 1, id="few"),
        pytest.param("examples,coverage,fuzzing", 4, id="10,000", marks=full),
    ],
)
def test_no_input_breaks_the_service_or_its_document(
    seeded_dir: Path,
    tmp_path: Path,
    phases: str,
    examples: int,
    record_property: Callable[[str, object], None],
) -> None:
    """No 5xx, no answer that the document does not promise, every error a problem.

    By the command of Schemathesis, not its plugin: of the plugin's tests, which to this pytest
    all have one name, each of several workers would make every case, and one would run.
    """
    with service(tmp_path / "serve.log", data_dir=seeded_dir, worker=False) as server:
        document = clients.get(f"{server.url}/openapi.json").json()
        for methods in document["paths"].values():
            for method in METHODS & methods.keys():
                # Made up, it is a change to come: a 503, after two seconds each.
                methods[method]["parameters"] = [
                    one
                    for one in methods[method].get("parameters", [])
                    if one.get("$ref") != "#/components/parameters/At-Least-Change"
                ]
        described = tmp_path / "openapi.json"
        described.write_text(json.dumps(document), encoding="utf-8")
        done = run(
            "schemathesis", "run", str(described), "--url", server.url,
            "--header", f"Authorization: Bearer {server.key}",
            "--phases", phases,
            "--max-examples", str(examples),
            "--request-timeout", str(PATIENCE),
            # What the schema allows may name a crossing or an instant that the world lacks.
            "--exclude-checks", "positive_data_acceptance",
            "--suppress-health-check", "all",
            "--no-color",
            within=3_000,
        )  # fmt: skip

    assert done.code == 0, done.told
    operations = sum(len(METHODS & methods.keys()) for methods in document["paths"].values())
    assert re.findall(r"(Selected|Tested): (\S+)", done.told) == [
        ("Selected", f"{operations}/{operations}"),
        ("Tested", str(operations)),
    ]
    if "coverage" in phases:
        record_property("operations", operations)
    for methods in document["paths"].values():
        for method in METHODS & methods.keys():
            responses: Any = whole(document, methods[method]["responses"])
            for status, response in responses.items():
                # Which the answers were held against.
                assert status < "400" or [*response["content"]] == ["application/problem+json"]
