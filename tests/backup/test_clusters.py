"""Backups of the embedded database: made beside writers, restored and compared; then harmed."""

import os
import re
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from app.embedded.running import reaching
from app.embedded.running import serving as serving_postgres
from app.embedded.server import SUPERUSER
from tests.backup.services import Answers, Writer, answers_of, close, serving
from tests.commands import Done, call, environment, finish, start
from tests.marks import full, in_full
from tests.servers import is_alive
from tests.waiting import eventually


@dataclass(frozen=True)
class Past:
    """A service that was backed up while it was written to, that went on, and that ended."""

    data_dir: Path
    backup: Path
    archive: Path
    made: Done
    at_the_backup: Answers
    """No later than its beginning."""
    between: datetime
    """After the first of two writes that followed the backup, and before the second."""
    after_one: Answers
    at_the_end: Answers
    key: str


@pytest.fixture(scope="module")
def past(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Past:
    folder = tmp_path_factory.mktemp("past")
    data_dir = Path(shutil.copytree(prepared, folder / "data"))
    backup, archive = folder / "backup", folder / "archive"
    with serving(data_dir, archive) as running:
        key = (data_dir / "admin.key").read_text(encoding="ascii").strip()
        with Writer(running, key) as writer:
            eventually(lambda: writer.acknowledged)
            at_the_backup = answers_of(running)
            made = call("backup", backup, "--data-dir", data_dir)
        finish_segment(data_dir)
        close(running, key)
        between, after_one = datetime.now(UTC), answers_of(running)
        finish_segment(data_dir)
        close(running, key, status="open", sides=["LT", "BY"])
        at_the_end = answers_of(running)
    return Past(data_dir, backup, archive, made, at_the_backup, between, after_one, at_the_end, key)


def finish_segment(data_dir: Path) -> None:
    with reaching(data_dir) as server, server.connect(SUPERUSER, "postgres") as connection:
        connection.execute("SELECT pg_switch_wal()")


def restore(backup: Path, data_dir: Path, *options: str | Path) -> Done:
    return call("restore", backup, "--data-dir", data_dir, *options)


def restored(past: Past, folder: Path, *options: str | Path) -> Answers:
    """Return what a service answers on a restored directory."""
    done = restore(past.backup, folder / "restored", *options)
    assert (done.code, done.complained) == (0, "")
    with serving(folder / "restored") as running:
        answers = answers_of(running)
    assert f"change {answers.newest} of " in done.told
    return answers


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def copy(past: Past, folder: Path) -> Path:
    return Path(shutil.copytree(past.backup, folder / "copy"))


# What comes back


@full
def test_a_backup_made_while_writes_go_on_has_all_that_was_acknowledged_before(
    past: Past, tmp_path: Path
) -> None:
    """And it is one state: what it has of what came meanwhile is a beginning of it."""
    answers = restored(past, tmp_path)

    assert (past.made.code, past.made.complained) == (0, "")
    assert answers.newest >= past.at_the_backup.newest
    assert answers.changes == past.at_the_end.changes[: answers.newest]


@full
def test_with_the_archive_everything_comes_back(past: Past, tmp_path: Path) -> None:
    assert restored(past, tmp_path, "--wal", past.archive) == past.at_the_end


@full
def test_until_an_instant_between_two_writes_has_the_first_of_them(
    past: Past, tmp_path: Path
) -> None:
    until = past.between.isoformat()

    assert restored(past, tmp_path, "--wal", past.archive, "--until", until) == past.after_one


@full
def test_the_restored_service_takes_writes_by_the_same_key(past: Past, tmp_path: Path) -> None:
    """And archives them under names of its own, so that the first archive stays as it is."""
    data_dir, archive = tmp_path / "restored", tmp_path / "archive"
    assert restore(past.backup, data_dir, "--wal", past.archive).code == 0

    with serving(data_dir, archive) as running:
        number = close(running, past.key)

    assert number == past.at_the_end.newest + 1
    assert (data_dir / "admin.key").read_text(encoding="ascii").strip() == past.key
    for name in ("admin.key", "secret.key"):
        assert stat.S_IMODE((data_dir / name).stat().st_mode) == 0o600
    assert call("check", "--data-dir", data_dir).told == "The change log is intact.\n"
    assert names_in(archive).isdisjoint(names_in(past.archive))


@full
def test_a_backup_is_for_nobody_else_to_read(past: Past) -> None:
    """It has the keys."""
    assert stat.S_IMODE(past.backup.stat().st_mode) == 0o700
    assert (past.backup / "admin.key").read_text(encoding="ascii").strip() == past.key
    for name in ("checkpoint.key", "secret.key"):
        assert (past.backup / name).read_bytes() == (past.data_dir / name).read_bytes()
        assert stat.S_IMODE((past.backup / name).stat().st_mode) == 0o600
    assert "CROSSINGS_SECRET_KEY" not in past.made.told


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="it checks the sums")
def test_its_sums_are_those_that_sha256sum_checks(past: Past) -> None:
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"],
        cwd=past.backup,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "postgres/backup_manifest: OK" in done.stdout


@full
def test_a_service_that_is_not_running_can_be_backed_up(seeded_dir: Path, tmp_path: Path) -> None:
    assert call("backup", tmp_path / "backup", "--data-dir", seeded_dir).code == 0
    assert restore(tmp_path / "backup", tmp_path / "restored").code == 0


# What is refused


def truncate(backup: Path) -> None:
    path = max((backup / "postgres" / "base").rglob("*"), key=lambda one: one.stat().st_size)
    os.truncate(path, path.stat().st_size - 8192)


def alter(backup: Path) -> None:
    path = max((backup / "postgres" / "base").rglob("*"), key=lambda one: one.stat().st_size)
    with path.open("r+b") as file:
        file.seek(100)
        byte = file.read(1)[0]
        file.seek(100)
        file.write(bytes([byte ^ 1]))


def lose_a_file(backup: Path) -> None:
    (backup / "postgres" / "global" / "pg_control").unlink()


def lose_the_log(backup: Path) -> None:
    for path in (backup / "postgres" / "pg_wal").glob("0*"):
        path.unlink()


def alter_the_key(backup: Path) -> None:
    (backup / "admin.key").write_text("another\n", encoding="ascii")


def alter_the_manifest(backup: Path) -> None:
    path = backup / "postgres" / "backup_manifest"
    path.write_text(path.read_text().replace("pg_control", "pg_contro1"))


def lose_the_sums(backup: Path) -> None:
    (backup / "SHA256SUMS").unlink()


@pytest.mark.parametrize(
    ("harm", "named"),
    [
        (alter, r"checksum mismatch for file \"base/\d+/\d+"),
        *in_full(
            (truncate, r"base/\d+/\d+.* has size"),
            (lose_a_file, "global/pg_control"),
            (lose_the_log, "WAL"),
            (alter_the_key, "admin.key was altered"),
            (alter_the_manifest, "backup_manifest was altered"),
            (lose_the_sums, "not a complete backup"),
            (shutil.rmtree, "not a complete backup"),
        ),
    ],
)
def test_a_damaged_backup_is_refused_before_anything_is_made(
    past: Past, tmp_path: Path, harm: Callable[[Path], None], named: str
) -> None:
    backup = copy(past, tmp_path)
    harm(backup)

    done = restore(backup, tmp_path / "restored")

    assert (done.code, done.told) == (1, "")
    assert re.search(named, done.complained), done.complained
    assert "Traceback" not in done.complained
    assert not (tmp_path / "restored").exists()


def test_a_backup_never_takes_the_place_of_something(past: Past, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("kept")

    done = call("backup", tmp_path, "--data-dir", past.data_dir)

    assert (done.code, done.told) == (1, "")
    assert done.complained == f"{tmp_path} is not empty: name a new directory\n"
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_restore_never_takes_the_place_of_something(past: Past) -> None:
    done = restore(past.backup, past.data_dir)

    assert (done.code, done.told) == (1, "")
    assert done.complained == f"{past.data_dir} is not empty: name a new directory\n"


def test_a_backup_inside_the_data_directory_is_refused(past: Past) -> None:
    """It would be in the next backup."""
    done = call("backup", past.data_dir / "postgres" / "backup", "--data-dir", past.data_dir)

    assert done.code == 1
    assert "name one outside of it" in done.complained


@pytest.mark.parametrize(
    ("until", "named"),
    [
        ("2026-11-24T09:00:00", "has no offset from UTC"),
        ("yesterday", "is not an instant"),
    ],
)
def test_an_instant_that_could_be_another_is_refused(
    past: Past, tmp_path: Path, until: str, named: str
) -> None:
    done = restore(past.backup, tmp_path / "new", "--wal", past.archive, "--until", until)

    assert done.code == 2
    assert named in done.complained
    assert not (tmp_path / "new").exists()


def test_an_instant_without_an_archive_is_refused(past: Past, tmp_path: Path) -> None:
    done = restore(past.backup, tmp_path / "new", "--until", past.between.isoformat())

    assert done.code == 1
    assert "--wal" in done.complained


def test_an_instant_before_the_backup_is_refused(past: Past, tmp_path: Path) -> None:
    """PostgreSQL itself would restore what came later, too."""
    until = past.between - timedelta(days=1)

    done = restore(
        past.backup, tmp_path / "new", "--wal", past.archive, "--until", until.isoformat()
    )

    assert done.code == 1
    assert "is earlier than this backup" in done.complained


@full
def test_an_instant_that_the_archive_does_not_reach_is_refused(past: Past, tmp_path: Path) -> None:
    until = datetime.now(UTC) + timedelta(days=1)

    done = restore(
        past.backup, tmp_path / "new", "--wal", past.archive, "--until", until.isoformat()
    )

    assert done.code == 1
    assert "the archive does not reach" in done.complained
    assert "Traceback" not in done.complained
    assert list((tmp_path / "new").iterdir()) == []


@pytest.fixture
def archive(past: Past, tmp_path: Path) -> Path:
    """An archive of this test's own."""
    return Path(shutil.copytree(past.archive, tmp_path / "archive"))


def segments(archive: Path) -> list[Path]:
    return sorted(path for path in archive.iterdir() if re.fullmatch("[0-9A-F]{24}", path.name))


def lose(segment: Path) -> None:
    segment.unlink()


def damage(segment: Path) -> None:
    segment.write_bytes(bytes(segment.stat().st_size))


@full
@pytest.mark.parametrize("harm", [lose, damage])
def test_a_gap_in_the_archive_is_named(
    past: Past, archive: Path, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    """PostgreSQL itself would end there, as if nothing had come after it."""
    *_, gap, last = segments(archive)
    harm(gap)

    done = restore(past.backup, tmp_path / "new", "--wal", archive)

    assert done.code == 1
    assert f"has the log up to {last.name}, but {gap.name} is missing" in done.complained, (
        done.complained
    )
    assert list((tmp_path / "new").iterdir()) == []


@full
def test_an_archive_that_is_damaged_where_the_backup_is_says_so(
    past: Past, archive: Path, tmp_path: Path
) -> None:
    for segment in segments(archive):
        damage(segment)

    done = restore(past.backup, tmp_path / "new", "--wal", archive)

    assert done.code == 1
    assert done.complained.startswith("the archive is damaged, or of another database: ")
    assert "invalid magic number" in done.complained
    assert list((tmp_path / "new").iterdir()) == []


# What is cut off


def processes_in(folder: Path) -> list[psutil.Process]:
    """Return the living processes whose command names a folder."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if any(str(folder) in part for part in process.cmdline()) and is_alive(process):
                found.append(process)
    return found


@pytest.fixture
def running_dir(seeded_dir: Path) -> Iterator[Path]:
    with serving_postgres(seeded_dir):
        yield seeded_dir


@full
@pytest.mark.parametrize(
    "moment",
    ["*", "postgres", "postgres/base", "postgres/backup_manifest*", "SHA256SUMS"],
)
def test_kill_9_during_a_backup_leaves_nothing_that_looks_like_one(
    running_dir: Path, tmp_path: Path, moment: str
) -> None:
    """And the next one makes it good."""
    backup, partial = tmp_path / "backup", tmp_path / "backup.partial"
    process = start("crossings", "backup", backup, "--data-dir", running_dir)
    eventually(lambda: list(partial.glob(moment)) or process.poll() is not None)
    process.kill()
    finish(process)
    eventually(lambda: not processes_in(partial))

    if partial.exists():
        assert not backup.exists()
        assert restore(partial, tmp_path / "new").code == 1 or (partial / "SHA256SUMS").exists()
        assert call("backup", backup, "--data-dir", running_dir).code == 0
    assert restore(backup, tmp_path / "restored").code == 0
    assert not partial.exists()


@full
def test_kill_9_during_a_backup_leaves_no_backup(running_dir: Path, tmp_path: Path) -> None:
    backup, partial = tmp_path / "backup", tmp_path / "backup.partial"
    process = start("crossings", "backup", backup, "--data-dir", running_dir)
    eventually((partial / "postgres").exists)
    process.kill()
    finish(process)
    eventually(lambda: not processes_in(partial))

    assert not backup.exists()
    assert restore(partial, tmp_path / "restored").code == 1


@full
def test_a_backup_that_is_being_made_is_left_alone(running_dir: Path, tmp_path: Path) -> None:
    backup, partial = tmp_path / "backup", tmp_path / "backup.partial"
    process = start("crossings", "backup", backup, "--data-dir", running_dir)
    eventually((partial / "postgres").exists)
    psutil.Process(process.pid).suspend()  # it has not ended, and will not
    done = call("backup", backup, "--data-dir", running_dir)
    psutil.Process(process.pid).resume()

    assert (done.code, done.told) == (1, "")
    assert done.complained == f"another backup is being written to {partial}\n"
    assert finish(process).code == 0


@full
def test_a_restore_that_was_cut_off_is_not_taken_for_a_service(past: Past, tmp_path: Path) -> None:
    """A start would otherwise make a new and empty database there. A restore makes it good."""
    data_dir = tmp_path / "restored"
    process = start("crossings", "restore", past.backup, "--data-dir", data_dir)
    eventually((data_dir / "postgres").exists)
    process.kill()
    finish(process)

    served = call("serve", "--data-dir", data_dir, "--port", "0")

    assert (served.code, served.told.partition("\n")[2]) == (1, "")
    assert served.complained == (
        f"the restore into {data_dir} did not finish: run `crossings restore` again\n"
    )
    assert restore(past.backup, data_dir).code == 0
    assert call("check", "--data-dir", data_dir).code == 0


# The archive


def test_an_archive_of_a_database_elsewhere_is_not_ours_to_make(tmp_path: Path) -> None:
    nowhere = environment(
        DATABASE_URL="postgresql://nobody@127.0.0.1:1/nothing",
        CROSSINGS_WAL_ARCHIVE=str(tmp_path / "archive"),
    )

    done = call("serve", "--port", "0", env=nowhere)

    assert done.code == 1
    assert done.complained == (
        "CROSSINGS_WAL_ARCHIVE is for the embedded database: unset it or DATABASE_URL.\n"
    )


@full
def test_an_archive_that_cannot_be_written_to_is_said_at_the_start(
    seeded_dir: Path, tmp_path: Path
) -> None:
    """Rather than by a log that grows until the disk is full."""
    (tmp_path / "file").touch()

    done = call(
        "migrate",
        "--data-dir",
        seeded_dir,
        env=environment(CROSSINGS_WAL_ARCHIVE=str(tmp_path / "file")),
    )

    assert done.code == 1
    assert done.complained == f"PostgreSQL may not write to the archive {tmp_path / 'file'}\n"


@full
def test_a_segment_is_never_overwritten(seeded_dir: Path, tmp_path: Path) -> None:
    """PostgreSQL tries again, until somebody takes the other file away."""
    archive = tmp_path / "archive"
    with (
        serving_postgres(seeded_dir, archive) as server,
        server.connect(SUPERUSER, "postgres") as connection,
    ):
        row = connection.execute("SELECT pg_walfile_name(pg_current_wal_lsn())").fetchone()
        assert row is not None
        other = archive / row[0]
        other.write_text("somebody else's")
        connection.execute("SELECT pg_logical_emit_message(true, 'test', 'x'), pg_switch_wal()")
        failures = "SELECT failed_count > 0 FROM pg_stat_archiver"
        eventually(lambda: connection.execute(failures).fetchone() == (True,))
        assert other.read_text() == "somebody else's"
        other.unlink()
        eventually(other.exists)
    assert other.stat().st_size == 16 * 2**20
