"""The documents are true: their commands work as written, their tables are those of the code."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import JsonValue

from app.config import PROJECT, Settings
from tests import clients
from tests.api import MEDININKAI, decision
from tests.commands import BIN, environment
from tests.servers import Service, service
from tests.test_architecture import STAIR
from tests.waiting import eventually
from tools import list_promises

# One terminal, many blocks: what one sets, the next ones use.
REMEMBERED = "if [ -f state ]; then . ./state; fi"
REMEMBER = "declare -p api key > state; declare -p undo >> state 2> /dev/null || true"

README = (PROJECT / "README.md").read_text(encoding="utf-8")
DOCS = PROJECT / "docs"
API = (DOCS / "api.md").read_text(encoding="utf-8")
DOCUMENTS = [*sorted(PROJECT.glob("*.md")), *sorted(DOCS.rglob("*.md"))]


def test_it_opens_with_what_the_service_does_and_two_commands() -> None:
    opening, commands = README.split("```")[:2]

    assert len(opening.strip().splitlines()) <= 6
    assert re.findall(r"^make (\w+)", commands, re.MULTILINE) == ["run", "test"]


def test_it_is_one_page() -> None:
    assert len(README.splitlines()) <= 150


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda one: str(one.relative_to(PROJECT)))
def test_its_links_lead_somewhere(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (document.parent / target).exists(), target
    for path in re.findall(r"`((?:app|tests|migrations|deploy|seeds)/[\w./-]+)`", text):
        assert list(PROJECT.glob(path.rstrip("/"))), path


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda one: str(one.relative_to(PROJECT)))
def test_a_name_with_its_file_is_defined_there(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for names, file in re.findall(r"((?:`[\w.]+`(?:, | and )?)+) \(`(app/[\w/]+\.py)`\)", text):
        source = (PROJECT / file).read_text(encoding="utf-8")
        for name in re.findall(r"[\w.]+", names.replace(" and ", " ")):
            last = name.rpartition(".")[2]
            definition = rf"^\s*(?:(?:async )?def |class ){last}\b|^{last}\b"
            assert re.search(definition, source, re.MULTILINE), name


def test_the_table_of_packages_is_the_stair() -> None:
    """Every package and module of `app`, in the order of `tests/test_architecture.py`."""
    architecture = (DOCS / "architecture.md").read_text(encoding="utf-8")
    table = architecture.partition("## The packages")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`app/.*?) \|", table, re.MULTILINE)
    named = re.findall(r"`app/([\w/]+)(?:\.py)?`", " ".join(rows))

    assert [name.replace("/", ".") for name in named] == list(STAIR)


def test_the_configuration_table_is_the_settings() -> None:
    """Every setting with its name, default and meaning, in the order of the class."""
    settings = (DOCS / "configuration.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([A-Z_]+)` \|\s*(.*?)\s*\| (.*) \|$", settings, re.MULTILINE)

    assert rows == [
        (
            str(field.validation_alias or f"CROSSINGS_{name.upper()}"),
            "" if field.default is None else f"`{field.default}`",
            field.description,
        )
        for name, field in Settings.model_fields.items()
    ]


def test_the_table_of_promises_has_a_test_for_each_and_what_it_measured() -> None:
    assert (DOCS / "promises.md").read_text(encoding="utf-8") == list_promises.document()
    for promise in list_promises.PROMISES:
        if promise.file.startswith("tests/"):
            assert "def test_" in (PROJECT / promise.file).read_text(encoding="utf-8")


def test_each_point_of_the_top_ten_has_a_defence_and_a_test() -> None:
    security = (DOCS / "security.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (API\d+:2023) [^|]+ \| ([^|]+) \| ([^|]+) \|$", security, re.MULTILINE)

    assert [point for point, _, _ in rows] == [f"API{number}:2023" for number in range(1, 11)]
    for _, _, tests in rows:
        for test in re.findall(r"\[`(tests/[\w/]+\.py)`\]\(\.\./\1\)", tests):
            assert "def test_" in (PROJECT / test).read_text(encoding="utf-8")
        assert tests.count("](../tests/") == tests.count("`") / 2
    settings = set(re.findall(r"`(CROSSINGS_\w+)`", security))
    assert settings <= {f"CROSSINGS_{name.upper()}" for name in Settings.model_fields}


def test_the_container_files_set_only_settings() -> None:
    names = {
        str(field.validation_alias or f"CROSSINGS_{name.upper()}")
        for name, field in Settings.model_fields.items()
    }
    for file in ("Dockerfile", "docker-compose.yml"):
        text = (PROJECT / file).read_text(encoding="utf-8")
        used = re.findall(r"\b((?:CROSSINGS|DATABASE)_[A-Z_]+)(?=[:=])", text)
        assert set(used) <= names, file


def test_the_cache_asks_the_containers_that_there_are() -> None:
    nginx = (PROJECT / "deploy" / "nginx.conf").read_text(encoding="utf-8")
    compose = (PROJECT / "docker-compose.yml").read_text(encoding="utf-8")

    servers = re.findall(r"^\s*server ([^:\s]+):8000 ", nginx, re.MULTILINE)
    assert servers == ["api-1", "api-2"]
    assert servers == re.findall(r"^  (api-\d+):", compose, re.MULTILINE)


@pytest.fixture(scope="module")
def server(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service as the README's reader has it."""
    folder = tmp_path_factory.mktemp("readme")
    data_dir = shutil.copytree(prepared, folder / "data")
    with service(folder / "serve.log", data_dir=data_dir) as running:
        yield running


@pytest.mark.skipif(shutil.which("curl") is None, reason="the commands use curl")
def test_the_examples_work_as_written(server: Service, tmp_path: Path) -> None:
    """Each block of commands runs, and its last output holds what the README shows."""
    (tmp_path / "data").symlink_to(server.log.parent / "data")
    for commands, shown in examples():
        script = commands.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")
        done = subprocess.run(
            ["bash", "-euc", f"{REMEMBERED}\n{script}\n{REMEMBER}"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        if shown:
            assert_holds(json.loads(done.stdout), json.loads(shown))


def test_the_command_lines_work_as_written(server: Service, tmp_path: Path) -> None:
    """Each block of docs/command-line.md runs, and prints the JSON that is shown, if any is."""
    settings = {
        "CROSSINGS_SERVER": server.url,
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "key": server.key,
    }
    text = (DOCS / "command-line.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```sh\n(.*?)```(?:\s+```json\n(.*?)```)?", text, re.DOTALL)
    assert len(blocks) >= 5
    for commands, shown in blocks:
        done = subprocess.run(
            ["bash", "-euc", commands],
            cwd=tmp_path,
            env=environment(None, **settings),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        if shown:
            assert_holds(json.loads(done.stdout), json.loads(shown))


def test_the_clients_examples_work_as_written(server: Service) -> None:
    """The blocks of docs/client.md, one after the other, as one program."""
    text = (DOCS / "client.md").read_text(encoding="utf-8")
    program = "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
    program = program.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")
    done = subprocess.run(
        [sys.executable, "-c", f"key = {server.key!r}\n{program}"],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("closed 2023-08-17 21:00:00+00:00 ")


@pytest.mark.skipif(shutil.which("curl") is None, reason="the command uses curl")
def test_the_stream_tells_a_change_as_shown(server: Service, tmp_path: Path) -> None:
    ((command, shown),) = re.findall(r"```sh\n(curl -sN .*?)```\s+```\n(.*?)```", API, re.DOTALL)
    told = tmp_path / "told"
    with (
        told.open("w") as output,
        subprocess.Popen(
            ["bash", "-c", f"exec {command}"],
            env={**os.environ, "api": server.url},
            stdout=output,
        ) as curl,
    ):
        try:
            eventually(lambda: "retry:" in told.read_text(encoding="utf-8"))
            written = clients.post(
                f"{server.url}/v1/events",
                json=decision(crossings=[MEDININKAI], status="restricted"),
                headers={"Authorization": f"Bearer {server.key}"},
            )
            number = written.headers["Change-Number"]
            eventually(lambda: f"\nid: {number}\n" in told.read_text(encoding="utf-8"))
        finally:
            curl.kill()
    # All but the numbers is what anyone would see.
    start = re.sub("[0-9]+", number, shown.partition(" …")[0])
    assert f"\n{start}" in told.read_text(encoding="utf-8")


def examples() -> Iterator[tuple[str, str]]:
    """Yield each block of commands, except the stream's, with the JSON shown after it, if any."""
    blocks = re.findall(r"```(sh|json)\n(.*?)```", README + API, re.DOTALL)
    assert [kind for kind, _ in blocks].count("sh") >= 15
    for place, (kind, text) in enumerate(blocks):
        following = blocks[place + 1] if place + 1 < len(blocks) else ("", "")
        if kind == "sh" and not text.startswith("curl -sN"):
            yield text, following[1] if following[0] == "json" else ""


def assert_holds(found: JsonValue, shown: JsonValue) -> None:
    """Check that ``found`` has all that is shown, and perhaps more fields and items."""
    if isinstance(shown, dict):
        assert isinstance(found, dict)
        for name, value in shown.items():
            assert_holds(found[name], value)
    elif isinstance(shown, list) and shown:
        assert isinstance(found, list)
        assert len(found) >= len(shown)
        for one, value in zip(found, shown, strict=False):
            assert_holds(one, value)
    else:
        assert found == shown
