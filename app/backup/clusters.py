"""Base backups of the embedded PostgreSQL, and how a data directory comes of one.

A restore replays the write-ahead log until it ends, or until an instant, and leaves a database that
starts a timeline of its own: whatever it archives later has other names than the original's.
"""

import math
import os
import re
import shlex
import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from app.backup.directories import BackupError, clear, explained, is_new_or_empty, new_backup
from app.backup.newest import NewestChange, has_change, newest_change
from app.changes.service import wire_instant
from app.embedded.data_directory import (
    KEY_FILES,
    UNFINISHED,
    DataDirectory,
    hold_data_directory,
    sync_directory,
    write_file,
)
from app.embedded.programs import ourselves
from app.embedded.server import DATABASE, OWNER, PORT, SUPERUSER, EmbeddedError, Server
from app.embedded.supervisor import PostgresSupervisor

_HELD = frozenset({UNFINISHED, "serve.lock", "socket"})
"""What a restore itself has in the data directory while it begins."""
_KEEP_LOG = "SELECT pg_create_physical_replication_slot(%s, true, true)"
"""Reserved at once, and gone with the connection."""
_SEGMENT = re.compile("[0-9A-F]{24}")
_SEGMENT_BYTES = 16 * 2**20


@explained()
def back_up(server: Server, data_dir: Path, directory: Path) -> NewestChange:
    """Write a verified base backup, with the keys, of a server that may be in use.

    Return the newest change when it began: it has that one, and maybe more.
    """
    if directory.resolve().is_relative_to(data_dir.resolve()):
        raise BackupError(f"{directory} is in the data directory: name one outside of it")
    with new_backup(directory) as partial:
        # First the keys, then the database: what a key file names is then in the database.
        for name in KEY_FILES:
            if (data_dir / name).exists():
                write_file(partial / name, (data_dir / name).read_text(encoding="ascii"))
        with server.connect(OWNER, DATABASE) as connection:
            newest = newest_change(connection)
        newest.write(partial)
        # The log is fetched at the end: a second process, which would stream it meanwhile,
        # would outlive a kill of the first. Until then the slot keeps it.
        with server.connect(SUPERUSER, "postgres") as connection:
            connection.execute(_KEEP_LOG, [f"backup_{os.getpid()}"])
            _run(
                "pg_basebackup",
                f"--host={server.socket_dir}",
                f"--port={PORT}",
                f"--username={SUPERUSER}",
                f"--pgdata={partial / 'postgres'}",
                "--checkpoint=fast",
                "--wal-method=fetch",
                "--manifest-checksums=SHA256",
            )
        _run("pg_verifybackup", "--quiet", str(partial / "postgres"))
    return newest


@dataclass(frozen=True, slots=True)
class Recovery:
    """How far to replay: only what the backup has, or an archive, all of it or to an instant."""

    archive: Path | None = None
    until: datetime | None = None

    def settings(self) -> Mapping[str, str]:
        """Return PostgreSQL's settings."""
        found = {
            "restore_command": "false",
            "recovery_target_action": "promote",
            "hot_standby": "off",
        }
        if self.archive is not None:
            found["restore_command"] = _restore_command(self.archive)
        if self.until is not None:
            found["recovery_target_time"] = self.until.astimezone(UTC).isoformat(sep=" ")
        return found


@explained()
def restore(directory: Path, data_dir: Path, recovery: Recovery) -> NewestChange:
    """Make a data directory of an unaltered backup; return the newest change that it has.

    Raises BackupError if its cluster is damaged or does not reach ``until``, if the directory is
    neither new nor empty, or if the archive cannot be replayed to its end. Then nothing is left.
    """
    directory, data_dir = directory.resolve(), data_dir.resolve()
    _run("pg_verifybackup", "--quiet", str(directory / "postgres"))
    _require_reach(directory, recovery)
    if not (is_new_or_empty(data_dir) or (data_dir / UNFINISHED).exists()):
        raise BackupError(f"{data_dir} is not empty: name a new directory")
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with ExitStack() as stack:
        write_file(data_dir / UNFINISHED, "")
        place = hold_data_directory(stack, data_dir)
        supervisor = PostgresSupervisor(place, recovery.settings(), start_seconds=math.inf)
        supervisor.vacate()
        try:
            clear(data_dir, keep=_HELD)
            _fill(place, directory, recovery)
            newest = _recover(supervisor, place, directory, recovery)
        except BaseException:
            clear(data_dir, keep=frozenset({UNFINISHED}))
            (data_dir / UNFINISHED).unlink()
            raise
        (data_dir / UNFINISHED).unlink()
        sync_directory(data_dir)
    return newest


def _run(program: str, *arguments: str) -> None:
    if reason := ourselves().run(Path("/"), program, *arguments):
        raise BackupError(reason)


def _require_reach(directory: Path, recovery: Recovery) -> None:
    if recovery.archive is not None and not recovery.archive.is_dir():
        raise BackupError(f"there is no archive {recovery.archive}")
    if recovery.until is None:
        return
    if recovery.archive is None:
        raise BackupError("until an instant only an archive can be replayed: name it with --wal")
    label = (directory / "postgres" / "backup_label").read_text(encoding="utf-8")
    [began] = re.findall(r"^START TIME: (.+) UTC$", label, re.MULTILINE)
    # The label leaves out fractions of a second.
    earliest = datetime.fromisoformat(began).replace(tzinfo=UTC) + timedelta(seconds=1)
    if recovery.until < earliest:
        raise BackupError(
            f"{wire_instant(recovery.until)} is earlier than this backup,"
            f" of {wire_instant(earliest)}: restore an older one"
        )


def _fill(place: DataDirectory, directory: Path, recovery: Recovery) -> None:
    shutil.copytree(
        directory / "postgres",
        place.cluster,
        symlinks=True,
        ignore=shutil.ignore_patterns("backup_manifest"),
    )
    (place.cluster / "recovery.signal").touch(mode=0o600)
    place.identity.adopt(place.cluster)
    for name in KEY_FILES:
        if (directory / name).exists():
            text = (directory / name).read_text(encoding="ascii")
            write_file(place.data_dir / name, text)
    if recovery.archive is not None and not place.identity.may("rx", recovery.archive):
        raise BackupError(f"PostgreSQL may not read the archive {recovery.archive}")


def _recover(
    supervisor: PostgresSupervisor, place: DataDirectory, directory: Path, recovery: Recovery
) -> NewestChange:
    supervisor.start()
    try:
        try:
            supervisor.ready.result()
        except EmbeddedError as error:
            raise BackupError(_explanation(str(error), recovery)) from error
        server = Server(place.socket_dir)
        with server.connect(OWNER, DATABASE) as connection:
            newest = newest_change(connection)
            if not has_change(connection, expected := NewestChange.read(directory)):
                raise BackupError(f"the restored database does not have {expected} of the backup")
        if recovery.archive is not None and recovery.until is None:
            _require_end(server, place, recovery.archive, newest)
        return newest
    finally:
        supervisor.stop()


def _explanation(reason: str, recovery: Recovery) -> str:
    """Return what is to be said of a recovery that PostgreSQL gave up."""
    if recovery.until is not None and "before configured recovery target was reached" in reason:
        [last] = re.findall(r"last completed transaction was at log time (.+)", reason)[-1:] or [
            "?"
        ]
        return (
            f"the archive does not reach {wire_instant(recovery.until)}: what is recorded last is"
            f" of {last}; leave out --until to restore all that the archive has"
        )
    if recovery.until is not None and "before consistent recovery point" in reason:
        until = wire_instant(recovery.until)
        return f"{until} is earlier than this backup's end: restore an older one"
    if recovery.archive is not None:
        return f"the archive is damaged, or of another database: {reason}"
    return reason


def _require_end(server: Server, place: DataDirectory, archive: Path, newest: NewestChange) -> None:
    """Raise BackupError if there is more in an archive than was replayed.

    PostgreSQL ends a recovery where it finds no valid record, whatever comes after it.
    """
    with server.connect(SUPERUSER, "postgres") as connection:
        row = connection.execute("SELECT pg_walfile_name(pg_current_wal_lsn())").fetchone()
    assert row is not None  # it has no condition
    history = place.cluster / "pg_wal" / f"{row[0][:8]}.history"
    timeline, end, _ = history.read_text(encoding="utf-8").splitlines()[-1].split("\t")
    high, low = (int(part, 16) for part in end.split("/"))
    stopped = ((high << 32) + low) // _SEGMENT_BYTES
    segments = [path.name for path in archive.iterdir() if _SEGMENT.fullmatch(path.name)]
    last = max((name for name in segments if int(name[:8], 16) == int(timeline)), default="")
    if last and int(last[8:16], 16) * 256 + int(last[16:], 16) > stopped:
        missing = f"{int(timeline):08X}{stopped // 256:08X}{stopped % 256:08X}"
        raise BackupError(
            f"{archive} has the log up to {last}, but {missing} is missing, damaged or of another"
            f" database; before it comes {newest}: give --until to restore up to there"
        )


def _restore_command(archive: Path) -> str:
    """Return a command that tells a file that is not there (1) from one that cannot be had."""
    file = shlex.quote(str(archive)).replace("%", "%%") + "/%f"
    return f'[ -e {file} ] || exit 1; cp {file} "%p" || exit 126'
