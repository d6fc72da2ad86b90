"""The write-ahead log's archive: a directory to which PostgreSQL copies each finished segment."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from app.embedded.data_directory import DataDirectory
from app.embedded.server import EmbeddedError

SEGMENT_SECONDS = 60
"""A segment with anything in it is finished after so long at the latest."""


def archive_settings(place: DataDirectory, directory: Path) -> Mapping[str, str]:
    """Return PostgreSQL's settings to archive to a directory, which is made if it is missing.

    Its module ``basic_archive`` writes a temporary file, syncs and renames it, and never
    overwrites a file of other content.
    """
    directory = directory.resolve()
    with suppress(FileExistsError):
        directory.mkdir(mode=0o700, parents=True)
        place.identity.adopt(directory)
    if not place.identity.may("wx", directory):
        raise EmbeddedError(f"PostgreSQL may not write to the archive {directory}")
    return {
        "archive_mode": "on",
        "archive_library": "basic_archive",
        "basic_archive.archive_directory": str(directory),
        "archive_timeout": str(SEGMENT_SECONDS),
    }
