"""The package as a wheel, installed apart from the repository."""

import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.config import PROJECT
from app.embedded.server import Server
from tests.commands import environment
from tests.conftest import Database, clone
from tests.marks import full


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel and install it into a folder, without fetching anything."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    offline = ["--no-deps", "--no-index"]
    into = ["--no-build-isolation", "--wheel-dir", str(folder), str(PROJECT)]
    subprocess.run([*pip, "wheel", *offline, *into], check=True)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([*pip, "install", *offline, "--target", folder / "site", wheel], check=True)
    return folder / "site"


def crossings(installed: Path, folder: Path, database: Database, *arguments: str) -> str:
    """Run the installed command in ``folder``; return what it prints."""
    # Before the repository, which an editable installation puts on the path.
    env = environment(database, PYTHONPATH=str(installed))
    command = (
        "import sys, app; assert sys.argv.pop(1) in app.__file__; from app.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", command, str(installed), *arguments],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def bare(postgres: Server) -> Iterator[Database]:
    """A database without a schema."""
    with clone(postgres, "template1") as found:
        yield found


@full
def test_an_installed_wheel_migrates_seeds_and_checks_from_an_empty_directory(
    installed: Path, tmp_path: Path, bare: Database
) -> None:
    assert "The schema is at" in crossings(installed, tmp_path, bare, "migrate")
    crossings(installed, tmp_path, bare, "seed")
    crossings(installed, tmp_path, bare, "check")

    with bare.connect() as connection:
        asked = "SELECT count(*) FROM seed_record"
        (count,) = connection.execute(asked).fetchone() or (0,)
    assert count > 0
    assert list(tmp_path.iterdir()) == []


@full
def test_the_wheel_has_the_licence_and_what_the_pages_load(installed: Path) -> None:
    data = ("outlines", "roads", "towns")
    files = [f"{name}.{ending}" for name in data for ending in ("json", "txt")]
    for name in ("leaflet/LICENSE.txt", "leaflet/leaflet.js", *files):
        assert (installed / "app" / "pages" / "static" / name).stat().st_size > 0
    assert [*installed.glob("crossing_status-*.dist-info/licenses/LICENSE")]


@full
def test_the_wheel_has_the_client_which_works_without_the_server(installed: Path) -> None:
    assert (installed / "crossing_status" / "py.typed").exists()
    # Without the current folder on the path, from which the repository would be imported.
    code = (
        "import sys, crossing_status.client as client\n"
        "assert client.__file__.startswith(sys.argv[1]), client.__file__\n"
        "client.Client('http://127.0.0.1:1').close()\n"
        "assert 'app' not in sys.modules"
    )
    subprocess.run(
        [sys.executable, "-P", "-c", code, installed],
        env=environment(PYTHONPATH=str(installed)),
        check=True,
    )


@full
def test_the_source_distribution_has_both_packages(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "--target", "sdist"]
    subprocess.run([*build, "--directory", tmp_path], cwd=PROJECT, check=True)
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        names = {name.partition("/")[2] for name in packed.getnames()}

    assert {"app/cli.py", "crossing_status/client/__init__.py", "crossing_status/py.typed"} <= names
