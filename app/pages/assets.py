"""The style sheets, scripts and images of the pages, served by this process.

Their address contains a hash of all of them together. So caches may keep them for ever, and
modules may import each other by relative addresses.
"""

import gzip
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable

_TYPES = {
    "css": "text/css; charset=utf-8",
    "json": "application/json",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "png": "image/png",
    "txt": "text/plain; charset=utf-8",
}


@dataclass(frozen=True, eq=False)
class Asset:
    """The content of a file, plain and compressed."""

    body: bytes
    media_type: str

    @cached_property
    def gzip(self) -> bytes:
        return gzip.compress(self.body, mtime=0)


def _files_below(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _files_below(entry, f"{prefix}{entry.name}/")
        else:
            yield prefix + entry.name, entry.read_bytes()


def _load() -> dict[str, Asset]:
    return {
        name: Asset(body, _TYPES[name.rpartition(".")[2]])
        for name, body in sorted(_files_below(files("app.pages").joinpath("static")))
    }


def _version(assets: Mapping[str, Asset]) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for name, asset in assets.items():
        digest.update(name.encode() + b"\0" + hashlib.sha256(asset.body).digest())
    return digest.hexdigest()


ASSETS: Mapping[str, Asset] = _load()
VERSION = _version(ASSETS)
OUTLINED: Sequence[str] = tuple(json.loads(ASSETS["outlines.json"].body)["countries"])
"""The countries whose outlines are on the map."""


def static(name: str) -> str:
    """Return the path of an asset. Raises KeyError if there is no such asset."""
    _ = ASSETS[name]
    return f"/static/{VERSION}/{name}"
