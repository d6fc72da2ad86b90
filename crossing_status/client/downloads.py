"""Exports as files: each is written whole, or not at all."""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import httpx2

from crossing_status.client.requests import Request

Progress = Callable[[int], object]
"""Called with the number of bytes that were written so far."""


def no_progress(_: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Download(Request):
    """The request for an export, and where it is to be written."""

    target: Path
    progress: Progress = no_progress

    def draft(self) -> "Draft":
        return Draft(self.target, self.progress)


@dataclass(slots=True)
class Draft:
    """A file beside the target, which takes its place once it is whole."""

    target: Path
    progress: Progress
    _file: BinaryIO | None = field(default=None, init=False)
    _change: int = field(default=0, init=False)
    _size: int = field(default=0, init=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
        with suppress(FileNotFoundError):
            self._path.unlink()

    @property
    def _path(self) -> Path:
        return self.target.with_name(f".{self.target.name}.{os.getpid()}.part")

    def begin(self, response: httpx2.Response) -> None:
        """Begin, perhaps again, with what this answer will bring."""
        if self._file is None:
            self._file = self._path.open("wb")
        self._file.seek(0)
        self._file.truncate()
        self._size = 0
        self._change = int(response.headers.get("change-number", "0"))
        self.progress(0)

    def write(self, chunk: bytes) -> None:
        assert self._file is not None, "it has not begun"
        self._file.write(chunk)
        self._size += len(chunk)
        self.progress(self._size)

    def finish(self) -> int:
        """Put it in its place; return the change that it reflects."""
        assert self._file is not None, "it has not begun"
        self._file.close()
        self._path.replace(self.target)
        return self._change
