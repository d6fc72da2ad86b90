"""The API fuzzed from its own OpenAPI document, over real HTTP, on the seeds."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case
from schemathesis.specs.openapi.checks import positive_data_acceptance

from app.config import Settings
from app.main import create_app
from tests.servers import Service, service

# The document alone is read here: no database is asked before the tests run.
document = create_app(Settings(database_url="postgresql://nowhere/none")).openapi()
schema = schemathesis.openapi.from_dict(document)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("fuzz")
    with service(folder / "serve.log", data_dir=folder / "data") as found:
        yield found


def fuzzing(operation: str) -> Callable[..., None]:
    """Return the test of one operation.

    Each is a function of its own: parametrised ones would share one name in pytest's eyes, and
    of those its workers run a single one.
    """

    @schema.include(name=operation).parametrize()
    @settings(max_examples=30, suppress_health_check=list(HealthCheck))
    def no_input_breaks_the_service_or_its_document(case: Case[Any], server: Service) -> None:
        response = case.call_and_validate(
            base_url=server.url,
            headers={"Authorization": f"Bearer {server.key}"},
            # What the schema allows may name a crossing or an instant that the world lacks.
            excluded_checks=[positive_data_acceptance],
        )
        if response.status_code >= 400:
            assert response.headers["content-type"] == ["application/problem+json"]
            assert response.json()["type"].startswith("/problems/")

    test: Callable[..., None] = no_input_breaks_the_service_or_its_document
    return test


OPERATIONS = [
    f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods
]

for label in OPERATIONS:
    name = re.sub(r"\W+", "_", label).strip("_").lower()
    globals()[f"test_no_5xx_and_no_undocumented_answer_from_{name}"] = fuzzing(label)


def test_every_operation_is_fuzzed(request: pytest.FixtureRequest) -> None:
    """By a test that has a name of its own."""
    names = {item.nodeid for item in request.session.items if item.path == request.path}

    assert len(names) > len(OPERATIONS) == sum(map(len, document["paths"].values()))
