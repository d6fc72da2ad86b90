"""The rules of flow: who may import what, who may commit, how large things get."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.schema import PROJECT

APP = PROJECT / "app"
MODULES = sorted(APP.rglob("*.py"))
BENCH = sorted((PROJECT / "bench").rglob("*.py"))
FLOOR = {"app.vocabulary", "app.errors", "app.config", "app.database", "app.http", "app.embedded"}
FEATURES = {
    "access", "changes", "sources", "places", "status", "notices", "seeding", "audit", "board",
    "courier", "effective", "feeds", "health", "pages", "subscriptions",
}  # fmt: skip


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
        "functools", "itertools", "operator", "uuid",
    }  # fmt: skip
    source = path.read_text(encoding="utf-8")

    assert imports_of(path) == under(imports_of(path), *allowed)
    assert not re.search(r"\.now\(|\.utcnow\(|\.today\(|\basync\b|\bawait\b", source)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_services_know_nothing_of_http(path: Path) -> None:
    """Only routers, the way in and the floor import the web framework."""
    web = under(imports_of(path), "fastapi", "starlette")
    allowed = path.name in {"router.py", "main.py", "cli.py"} or name_of(path).startswith(
        (
            "app.http.",
            "app.database.sessions",
            "app.access.writing",
            "app.board.middleware",
            "app.changes.read_sessions",
            "app.changes.stream.",
            "app.pages.page_cache",
            "app.pages.problems",
            "app.pages.rendering",
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
    """One request is one transaction, opened and committed in one place."""
    may = {
        "app.database.sessions",
        "app.schema",
        "app.cli",
        "app.delivery.worker",
    }

    assert name_of(path) in may or not {"commit", "begin"} & set(calls_in(path))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_the_floor_does_not_know_the_features(path: Path) -> None:
    """Except the schema, which is all tables together."""
    name = name_of(path)
    if under({name}, *FLOOR) and name != "app.schema":
        assert not under(imports_of(path), *(f"app.{feature}" for feature in FEATURES))


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


def test_a_folder_holds_at_most_eight_modules() -> None:
    for folder in {path.parent for path in (*MODULES, *BENCH)}:
        modules = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
        assert len(modules) <= 8, folder


def test_functions_are_short() -> None:
    """Forty lines of body at most, docstring and signature not counted."""
    for path in (*MODULES, *BENCH):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                lines = body[-1].end_lineno - body[0].lineno + 1 if body else 0  # type: ignore[operator]
                assert lines <= 40, f"{path.name}: {node.name} has {lines} lines"


def test_nothing_is_left_for_later() -> None:
    for path in (
        *MODULES,
        *BENCH,
        *PROJECT.glob("migrations/**/*.py"),
        *PROJECT.glob("tests/**/*.py"),
    ):
        marks = "|".join(("TO" + "DO", "FIX" + "ME", "X" * 3, "HA" + "CK"))
        assert not re.search(rf"\b({marks})\b", path.read_text(encoding="utf-8")), path
