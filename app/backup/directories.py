"""The directory of a backup, which gets its name only when it is complete and on the disk."""

import hashlib
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path

import psycopg

from app.embedded.data_directory import sync_directory, write_file

# The import must not fail on Windows.
if sys.platform != "win32":
    import fcntl

SUMS = "SHA256SUMS"
"""In the format of `sha256sum`. The files of a cluster are covered by its manifest."""
MANIFEST = "postgres/backup_manifest"
DUMP = "crossings.dump"


class BackupKind(Enum):
    """The kinds of backups, with the file that identifies each."""

    CLUSTER = MANIFEST
    DUMP = DUMP


class BackupError(Exception):
    """A backup or a restore failed. The message is for a terminal and says what to do."""


@contextmanager
def explained() -> Iterator[None]:
    """Turn errors of the disk and the database into a BackupError."""
    try:
        yield
    except (OSError, psycopg.Error) as error:
        raise BackupError(str(error).strip()) from error


@contextmanager
def new_backup(directory: Path) -> Iterator[Path]:
    """Create a directory to be filled, which is renamed to ``directory`` at the end of the block.

    Until then its name ends in ``.partial``. The next attempt clears what an interrupted one left.
    Raises BackupError if ``directory`` exists and is not empty.
    """
    directory = directory.absolute()
    if not is_new_or_empty(directory):
        raise BackupError(f"{directory} is not empty: name a new directory")
    partial = directory.with_name(f"{directory.name}.partial")
    partial.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(partial, os.O_RDONLY)
    try:
        _lock(fd, partial)
        clear(partial)
        try:
            yield partial
            _seal(partial)
            _rename(partial, directory)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
    finally:
        os.close(fd)


@explained()
def kind_of(directory: Path) -> BackupKind:
    """Return the kind of a backup. Raises BackupError if a file is missing or was altered.

    The files of a cluster are not compared with its manifest.
    """
    if not (directory / SUMS).is_file():
        raise BackupError(f"{directory} is not a complete backup: it has no {SUMS}")
    names = set()
    for line in (directory / SUMS).read_text(encoding="utf-8").splitlines():
        digest, _, name = line.partition("  ")
        if not (directory / name).is_file():
            raise BackupError(f"{directory / name} is missing: restore another backup")
        if _digest(directory / name) != digest:
            raise BackupError(f"{directory / name} was altered: restore another backup")
        names.add(name)
    for kind in BackupKind:
        if kind.value in names:
            return kind
    raise BackupError(f"{directory} is not a backup of this service")


def is_new_or_empty(directory: Path) -> bool:
    """Return whether a directory does not exist or is empty."""
    return not directory.exists() or (directory.is_dir() and not any(directory.iterdir()))


def clear(directory: Path, *, keep: frozenset[str] = frozenset()) -> None:
    """Remove the content of a directory, except the names in ``keep``."""
    for path in directory.iterdir():
        if path.name in keep:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _lock(fd: int, partial: Path) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BackupError(f"another backup is being written to {partial}") from None


def _seal(partial: Path) -> None:
    """Write the digests of the files, and sync everything to the disk."""
    files = sorted(path for path in partial.iterdir() if path.is_file())
    manifest = partial / MANIFEST
    hashed = [*files, manifest] if manifest.exists() else files
    lines = [f"{_digest(path)}  {path.relative_to(partial)}\n" for path in hashed]
    write_file(partial / SUMS, "".join(lines))
    for path in [*files, partial / SUMS]:
        with path.open("rb") as file:
            os.fsync(file.fileno())
    sync_directory(partial)


def _rename(partial: Path, directory: Path) -> None:
    try:
        partial.rename(directory)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise BackupError(
            f"cannot rename {partial} to {directory}: {reason}; name a directory that is"
            " neither there nor a mount point"
        ) from error
    sync_directory(directory.parent)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
