"""The API fuzzed from its own OpenAPI document, over real HTTP, on the seeds."""

from collections.abc import Iterator
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


@schema.parametrize()
@settings(max_examples=30, suppress_health_check=list(HealthCheck))
def test_no_input_breaks_the_service_or_its_document(case: Case[Any], server: Service) -> None:
    """No 5xx, no answer that the document does not promise, every error a problem."""
    response = case.call_and_validate(
        base_url=server.url,
        headers={"Authorization": f"Bearer {server.key}"},
        # What the schema allows may name a crossing or an instant that the world does not have.
        excluded_checks=[positive_data_acceptance],
    )
    if response.status_code >= 400:
        assert response.headers["content-type"] == ["application/problem+json"]
        assert response.json()["type"].startswith("/problems/")
