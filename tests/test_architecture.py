"""The rules of structure: which way imports point, what is pure, who commits."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.config import PROJECT

APP = PROJECT / "app"
MODULES = sorted(APP.rglob("*.py"))
CLIENT = sorted((PROJECT / "crossing_status").rglob("*.py"))
STAIR = (
    "main", "cli", "commands", "tracing", "backup", "audit", "pages", "feeds", "health", "schema",
    "seeding", "importers", "alerts", "board", "delivery", "facts", "incidents", "statistics",
    "crossings", "status",
    "notices", "languages", "observations", "places", "sources", "subscriptions", "changes",
    "access", "limits", "status.rule", "http", "database", "embedded", "logs", "caches", "garbage",
    "config", "encryption", "errors", "validation", "vocabulary",
)  # fmt: skip
"""Packages and modules of `app`, from the top down: each imports only what stands after it."""


def name_of(path: Path) -> str:
    parts = path.relative_to(PROJECT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path) -> set[str]:
    """Return every module that ``path`` imports from, by full name."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def calls_in(path: Path) -> Iterator[str]:
    """Yield the name of every method that ``path`` calls."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield node.func.attr


def under(names: set[str], *roots: str) -> set[str]:
    return {name for name in names for root in roots if name == root or name.startswith(f"{root}.")}


@pytest.mark.parametrize("path", sorted((APP / "status" / "rule").glob("*.py")), ids=name_of)
def test_the_rule_is_pure(path: Path) -> None:
    """It imports nothing that could ask a clock, a database or the network."""
    allowed = {
        "app.status.rule", "app.vocabulary", "bisect", "collections", "dataclasses", "datetime",
        "functools", "itertools", "operator", "typing", "uuid",
    }  # fmt: skip
    source = path.read_text(encoding="utf-8")

    assert imports_of(path) == under(imports_of(path), *allowed)
    assert not re.search(r"\.now\(|\.utcnow\(|\.today\(|\basync\b|\bawait\b", source)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_services_know_nothing_of_http(path: Path) -> None:
    """Only routers, responses, the stream endpoint and the lowest floors import the framework."""
    web = under(imports_of(path), "fastapi", "starlette")
    allowed = path.name in {"router.py", "main.py"} or name_of(path).startswith(
        (
            "app.http.",
            "app.database.sessions",
            "app.limits.requests",
            "app.access.writing",
            "app.board.middleware",
            "app.changes.read_sessions",
            "app.changes.stream.",
            "app.feeds.responses",
            "app.pages.page_cache",
            "app.pages.problems",
            "app.pages.rendering",
            "app.status.parameters",
            "app.tracing.spans",
        )
    )

    assert allowed or not web


@pytest.mark.parametrize("path", sorted(APP.rglob("router.py")), ids=name_of)
def test_routers_only_translate(path: Path) -> None:
    """No statement, no transaction, no error of the framework's own."""
    imports = imports_of(path)

    assert not under(imports, "sqlalchemy")
    assert "fastapi.HTTPException" not in imports
    assert not {"execute", "scalars", "scalar", "commit", "rollback", "begin"} & set(calls_in(path))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_only_the_floor_and_the_command_line_commit(path: Path) -> None:
    """One request is one transaction, opened and committed in one place.

    What belongs to no request opens its own: what runs beside them, and commands.
    """
    may = {
        "app.access.attempts",
        "app.database.sessions",
        "app.database.writability",
        "app.schema",
        "app.commands.database",
        "app.delivery.worker",
    }

    assert name_of(path) in may or not {"commit", "begin"} & set(calls_in(path))


def step_of(name: str) -> int | None:
    """Return the place in the stair of a module of `app`; None for anything else."""
    steps = [step for step in STAIR if under({name}, f"app.{step}")]
    return STAIR.index(max(steps, key=len)) if steps else None


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_down(path: Path) -> None:
    here = step_of(name_of(path))
    assert here is not None or name_of(path) == "app"
    steps = {name: step_of(name) for name in imports_of(path)}

    assert [name for name, step in steps.items() if step is not None and step < (here or 0)] == []


@pytest.mark.parametrize("path", CLIENT, ids=name_of)
def test_the_client_imports_nothing_of_the_server(path: Path) -> None:
    assert not under(imports_of(path), "app")


def test_only_commands_use_the_client() -> None:
    """The server's words are its own: a test compares them with the client's."""
    users = {name_of(path) for path in MODULES if under(imports_of(path), "crossing_status")}

    assert users
    assert users == under(users, "app.commands")


def test_no_two_classes_have_one_name() -> None:
    """A reader who meets a name finds one thing by it."""
    names = Counter(
        node.name
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )

    assert {name for name, count in names.items() if count > 1} == set()


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_only_the_settings_read_the_environment(path: Path) -> None:
    source = path.read_text(encoding="utf-8")

    assert "getenv" not in source
    assert "os.environ.get" not in source
    assert not re.search(r"os\.environ\[[^\]]*\](?!\s*=)", source)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_the_log_is_never_changed_by_statement(path: Path) -> None:
    """The database would refuse; the code does not even ask."""
    assert not re.search(r"sqlalchemy\.(update|delete)\b", " ".join(imports_of(path)))
