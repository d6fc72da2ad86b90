"""The definition of an importer, and the list of importers."""

import pkgutil
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache, cached_property
from importlib import import_module
from importlib.resources import files
from importlib.resources.abc import Traversable

from app.importers import agencies
from app.importers.findings import Finding
from app.importers.places import Places, read_places
from app.importers.policy import Policy
from app.sources.schemas import SourceIn

Parse = Callable[[bytes, Places], Iterable[Finding]]
"""Reads a payload. Pure. Raises BrokenPayload if nothing of it can be read."""


# Without slots: the contents of its files are cached.
@dataclass(frozen=True)
class Importer:
    """How a feed is imported. The files of its places and its policy are beside its module."""

    module: str
    source: SourceIn
    """The feed, as the source of its observations: recorded once."""
    address: str
    """The address to fetch; with ``{key}``, one for each of its places."""
    interval: timedelta
    """Between two fetches."""
    parse: Parse
    has_personal_data: bool = False
    """If so, nothing of a payload but its hash may be stored, logged or shown."""

    @property
    def name(self) -> str:
        return self._stem.replace("_", "-")

    @property
    def addresses(self) -> Sequence[str]:
        if "{key}" not in self.address:
            return (self.address,)
        return [self.address.format(key=place.key) for place in self.places.place]

    @cached_property
    def places(self) -> Places:
        return read_places(self._file("places"))

    @cached_property
    def policy(self) -> Policy:
        return Policy.model_validate(tomllib.loads(self._file("policy").read_text("utf-8")))

    @property
    def _stem(self) -> str:
        return self.module.rpartition(".")[2]

    def _file(self, what: str) -> Traversable:
        return files(agencies) / f"{self._stem}.{what}.toml"


@cache
def importers() -> Mapping[str, Importer]:
    """Return every importer by its name: one for each module of `agencies`."""
    loaded: list[Importer] = []
    for module in pkgutil.iter_modules(agencies.__path__, f"{agencies.__name__}."):
        importer = import_module(module.name).IMPORTER
        assert isinstance(importer, Importer)
        loaded.append(importer)
    return {importer.name: importer for importer in loaded}
