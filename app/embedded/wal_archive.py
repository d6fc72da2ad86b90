"""The archive of the write-ahead log: a directory for copies of its finished segments."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from app.embedded.data_directory import DataDirectory
from app.embedded.server import EmbeddedError

SEGMENT_SECONDS = 60
"""The longest time until a segment with any content is finished and copied."""


def archive_settings(data_directory: DataDirectory, directory: Path) -> Mapping[str, str]:
    """Return PostgreSQL's settings for archiving to a directory, which is created if missing.

    The module ``basic_archive`` writes a temporary file, syncs and renames it, and never
    overwrites a file with other content.
    """
    directory = directory.resolve()
    with suppress(FileExistsError):
        directory.mkdir(mode=0o700, parents=True)
        data_directory.identity.adopt(directory)
    if not data_directory.identity.may("wx", directory):
        raise EmbeddedError(f"PostgreSQL may not write to the archive {directory}")
    return {
        "archive_mode": "on",
        "archive_library": "basic_archive",
        "basic_archive.archive_directory": str(directory),
        "archive_timeout": str(SEGMENT_SECONDS),
    }
