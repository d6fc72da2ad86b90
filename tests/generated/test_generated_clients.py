"""The document as its users meet it: linted, and made into clients that are then used.

The linter and the generators are installed from their own lock files, apart from this project's
environment: their dependencies are not its.
"""

import os
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import clients
from tests.marks import full
from tests.servers import Service, service

pytestmark = [
    full,
    pytest.mark.skipif(shutil.which("npm") is None, reason="needs Node.js"),
]

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def server(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("server")
    data_dir = Path(shutil.copytree(prepared, folder / "data"))
    with service(folder / "serve.log", data_dir=data_dir, worker=False) as running:
        yield running


@pytest.fixture(scope="module")
def folder(server: Service, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the document, and with the programs of npm that read it."""
    found = tmp_path_factory.mktemp("generated")
    document = clients.get(f"{server.url}/openapi.json").content
    (found / "openapi.json").write_bytes(document)
    for name in ("package.json", "package-lock.json", "use_client.ts"):
        shutil.copy(HERE / name, found)
    done(found, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
    return found


def done(folder: Path, *command: str | Path, path: Path | None = None) -> str:
    """Return what a command wrote; fail with that if it failed."""
    more = {"PATH": f"{path}{os.pathsep}{os.environ['PATH']}"} if path else {}
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    result = subprocess.run(
        command,
        cwd=folder,
        env=environment | more,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout
    return result.stdout


def test_the_linter_finds_neither_an_error_nor_a_warning_by_its_recommended_rules(
    folder: Path,
) -> None:
    told = done(
        folder, "npx", "redocly", "lint", "openapi.json", "--extends", "recommended",
        "--format", "stylish", "--max-problems", "1000",
    )  # fmt: skip

    assert "Your API description is valid" in told
    assert not re.findall(r"\d+ (?:error|warning)", told), told


def test_a_generated_python_client_has_typed_answers_and_works(
    server: Service, folder: Path
) -> None:
    venv.create(folder / "venv", with_pip=True)
    bin_folder = folder / "venv" / "bin"
    python = bin_folder / "python"
    pip = (python, "-m", "pip", "--disable-pip-version-check", "--quiet", "install")
    done(folder, *pip, "--require-hashes", "-r", HERE / "requirements.txt")
    told = done(
        folder, bin_folder / "openapi-python-client", "generate",
        "--path", "openapi.json", "--output-path", "client", path=bin_folder,
    )  # fmt: skip
    done(folder, *pip, "--no-deps", "--no-build-isolation", "./client")

    # What it leaves out are formats that are not JSON.
    left_out = set(re.findall(r"Unsupported content_type ([\w/.+-]+\w)", told))
    assert left_out == {
        "application/atom+xml",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "application/x-ndjson",
    }
    assert told.count("WARNING") == told.count("Unsupported content_type")
    untyped = {
        file.stem
        for file in (folder / "client" / "crossing_status_client" / "api").glob("*/*.py")
        if re.search(r"-> Response\[.*\bAny\b", file.read_text(encoding="utf-8"))
    }
    assert untyped == {"delete_subscription"}
    use = HERE / "use_client.py"
    done(folder, sys.executable, "-m", "mypy", "--strict", "--python-executable", python, use)
    done(folder, python, use, server.url, server.key)


def test_a_generated_typescript_client_has_typed_answers_and_works(
    server: Service, folder: Path
) -> None:
    done(
        folder, "npx", "openapi-typescript", "openapi.json", "--output", "api.d.ts",
        # What has a default may be left out of a body.
        "--default-non-nullable", "false",
    )  # fmt: skip
    done(
        folder, "npx", "tsc", "--strict", "--target", "es2022", "--module", "nodenext",
        "--lib", "es2023,dom,dom.iterable", "use_client.ts",
    )  # fmt: skip
    done(folder, "node", "use_client.js", server.url, server.key)
