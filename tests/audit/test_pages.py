"""A damaged page is named, by the table or index that it is of, and never by a traceback."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.embedded.running import serving
from app.embedded.server import DATABASE, OWNER, SERVICE, SUPERUSER
from tests.commands import Done, call, environment
from tests.marks import full

PAGE = 8192


def file_of(data_dir: Path, relation: str) -> str:
    with serving(data_dir) as server, server.connect(SUPERUSER, DATABASE) as connection:
        connection.execute("CHECKPOINT")
        row = connection.execute("SELECT pg_relation_filepath(%s)", [relation]).fetchone()
    assert row is not None
    return str(row[0])


def damage(data_dir: Path, file: str, page: int) -> None:
    """Turn one bit of a page, as a disk does that forgets."""
    with (data_dir / "postgres" / file).open("r+b") as opened:
        opened.seek(page * PAGE + PAGE - 100)
        byte = opened.read(1)[0]
        opened.seek(page * PAGE + PAGE - 100)
        opened.write(bytes([byte ^ 4]))


@contextmanager
def elsewhere(data_dir: Path) -> Iterator[dict[str, str]]:
    """Serve the directory as a database of the operator's own, and give its environment."""
    with serving(data_dir) as server:
        yield environment(DATABASE_URL=server.url(SERVICE), DATABASE_OWNER_URL=server.url(OWNER))


@pytest.mark.parametrize(
    ("relation", "page", "name"),
    [
        ("change", 3, "the table change"),
        ("pk_change", 1, "the index pk_change"),
    ],
)
def test_check_names_a_damaged_page(seeded_dir: Path, relation: str, page: int, name: str) -> None:
    file = file_of(seeded_dir, relation)
    damage(seeded_dir, file, page)

    done = call("check", "--data-dir", seeded_dir)

    assert done == Done(1, "", f"page {page} of {name} ({file}) is damaged\n")


@full
def test_check_names_every_damaged_page(seeded_dir: Path) -> None:
    change, event = file_of(seeded_dir, "change"), file_of(seeded_dir, "status_event")
    damage(seeded_dir, change, 1)
    damage(seeded_dir, change, 2)
    damage(seeded_dir, event, 0)

    done = call("check", "--data-dir", seeded_dir)

    assert sorted(done.complained.splitlines()) == [
        f"page 0 of the table status_event ({event}) is damaged",
        f"page 1 of the table change ({change}) is damaged",
        f"page 2 of the table change ({change}) is damaged",
    ]


@full
def test_check_names_a_damaged_page_of_a_database_elsewhere(seeded_dir: Path) -> None:
    """Where only its owner could read all files: the first page that a statement meets."""
    file = file_of(seeded_dir, "change")
    damage(seeded_dir, file, 3)

    with elsewhere(seeded_dir) as env:
        done = call("check", env=env)

    assert done == Done(1, "", f"page 3 of the table change ({file}) is damaged\n")


@full
def test_a_damaged_database_is_not_backed_up(seeded_dir: Path, tmp_path: Path) -> None:
    file = file_of(seeded_dir, "change")
    damage(seeded_dir, file, 3)

    done = call("backup", tmp_path / "backup", "--data-dir", seeded_dir)

    assert (done.code, done.told) == (1, "")
    assert f'checksum verification failed in file "./{file}", block 3' in done.complained
    assert not (tmp_path / "backup").exists()
    assert not (tmp_path / "backup.partial").exists()


@full
def test_other_commands_say_that_the_database_is_damaged(seeded_dir: Path) -> None:
    file = file_of(seeded_dir, "change")
    for page in range(4):
        damage(seeded_dir, file, page)

    done = call("export", "--data-dir", seeded_dir)

    assert done.code == 1
    assert done.complained.startswith("The database is damaged, see `crossings check`: ")
