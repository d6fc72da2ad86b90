"""Alert rules, dashboard and runbook speak of figures that exist, and of each other."""

import json
import re
from collections.abc import Iterator

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families as families

from app.config import PROJECT
from tests.api import Api

OBSERVE = PROJECT / "deploy" / "observe"
ALERTS = [
    rule
    for group in yaml.safe_load((OBSERVE / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
RUNBOOK = (PROJECT / "docs" / "runbook.md").read_text(encoding="utf-8")


def expressions() -> Iterator[str]:
    """Yield every expression of PromQL that we ship."""
    yield from (rule["expr"] for rule in ALERTS)
    dashboard = json.loads((OBSERVE / "dashboard.json").read_text(encoding="utf-8"))
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel["targets"])
    yield from re.findall(r"`(sum by .*)`", RUNBOOK)


async def test_every_figure_that_is_asked_for_is_there(seeded_api: Api) -> None:
    await seeded_api.get("/v1/crossings")
    text = (await seeded_api.get("/metrics")).text
    told = {sample.name for family in families(text) for sample in family.samples}
    told |= {family.name for family in families(text)}
    asked = {name for one in expressions() for name in re.findall(r"crossings_\w+", one)}

    assert asked <= told


@pytest.mark.parametrize("rule", ALERTS, ids=[rule["alert"] for rule in ALERTS])
def test_every_alert_says_what_is_wrong_and_what_to_do(rule: dict[str, dict[str, str]]) -> None:
    annotations = rule["annotations"]

    assert annotations["summary"].endswith(".")
    assert annotations["runbook"] == f"docs/runbook.md#{str(rule['alert']).lower()}"
    assert re.search(rf"^## {rule['alert']}$", RUNBOOK, re.MULTILINE)
    assert rule["labels"]["severity"] in {"page", "ticket"}


def test_the_runbook_has_no_alert_that_is_not_raised() -> None:
    told = re.findall(r"^## (\w+)$", RUNBOOK, re.MULTILINE)

    assert told == [rule["alert"] for rule in ALERTS]


def test_the_files_of_the_profile_are_there() -> None:
    compose = yaml.safe_load((PROJECT / "docker-compose.yml").read_text(encoding="utf-8"))
    files = [one["file"] for one in compose["configs"].values() if "file" in one]
    used = {
        mounted["source"] if isinstance(mounted, dict) else mounted
        for service in compose["services"].values()
        for mounted in service.get("configs", [])
    }

    assert all((PROJECT / file).is_file() for file in files)
    assert used == set(compose["configs"])
