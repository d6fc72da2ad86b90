"""What a process remembers so as not to work it out again: each cache within a number of bytes.

A cache that counts its entries grows with what strangers ask. So here keys and values are
weighed, a key that is long is never remembered, and what is oldest goes first. All caches are in
one register, for whoever measures the process.
"""

import weakref
from collections.abc import Callable, Hashable
from dataclasses import dataclass, fields, is_dataclass
from functools import lru_cache, wraps
from typing import Generic, ParamSpec, Protocol, TypeVar, cast

LONGEST_KEY = 1_000
"""Bytes: what is asked in more words is answered, and forgotten."""
_OVERHEAD = 200
"""Bytes of an entry besides its key and its value, about."""

KeyT = TypeVar("KeyT", bound=Hashable)
ValueT = TypeVar("ValueT")
Params = ParamSpec("Params")


@dataclass(frozen=True, slots=True)
class CacheUsage:
    """How much a cache holds."""

    name: str
    bytes: int
    bound: int
    """Bytes that it never exceeds."""
    entries: int


class Bounded(Protocol):
    """What is in the register."""

    def usage(self) -> CacheUsage:
        """Return how much it holds now."""


_registered: "weakref.WeakSet[Bounded]" = weakref.WeakSet()


def register(cache: Bounded) -> None:
    """Show a cache in the register for as long as there is any use of it."""
    _registered.add(cache)


def usages() -> dict[str, CacheUsage]:
    """Return how much the caches of the process hold, by their names; those of one name together.

    The bounds of a name count together, too: each may be reached.
    """
    found: dict[str, CacheUsage] = {}
    for cache in list(_registered):
        usage = cache.usage()
        others = found.get(usage.name, CacheUsage(usage.name, 0, 0, 0))
        found[usage.name] = CacheUsage(
            usage.name,
            usage.bytes + others.bytes,
            usage.bound + others.bound,
            usage.entries + others.entries,
        )
    return found


def weight_of(key: object) -> int:
    """Return about how many bytes a key takes."""
    match key:
        case bytes():
            return len(key)
        case str():
            return len(key.encode("utf-8", "surrogatepass"))
        case tuple() | frozenset():
            return sum(map(weight_of, key)) + 8 * len(key)
        case _ if is_dataclass(key):
            return sum(weight_of(getattr(key, part.name)) + 8 for part in fields(key))
        case _:
            return 8


class Cache(Generic[KeyT, ValueT]):
    """Values by their keys; ``weigh`` tells the bytes of a value."""

    def __init__(self, name: str, *, bound: int, weigh: Callable[[ValueT], int]) -> None:
        self._name = name
        self._bound = bound
        self._weigh = weigh
        self._items: dict[KeyT, ValueT] = {}
        self._weights: dict[KeyT, int] = {}
        self._bytes = 0
        self.get: Callable[[KeyT], ValueT | None] = self._items.get
        """Return what is remembered, None if nothing is."""
        register(self)

    def put(self, key: KeyT, value: ValueT) -> None:
        """Remember a value, unless its key is long or it alone would take more than there is."""
        self.drop(key)
        of_key = weight_of(key)
        weight = _OVERHEAD + of_key + self._weigh(value)
        if of_key > LONGEST_KEY or weight > self._bound:
            return
        self._items[key], self._weights[key] = value, weight
        self._bytes += weight
        while self._bytes > self._bound:
            self.drop(next(iter(self._items)))

    def drop(self, key: KeyT) -> None:
        """Forget a value."""
        if key in self._items:
            del self._items[key]
            self._bytes -= self._weights.pop(key)

    def usage(self) -> CacheUsage:
        """Return how much it holds."""
        return CacheUsage(self._name, self._bytes, self._bound, len(self._items))


class _Shared:
    """The use of a cache whose entries are all about as large."""

    def __init__(self, name: str, most: int, entry_bytes: int, count: Callable[[], int]) -> None:
        self._name, self._most, self._entry_bytes, self._count = name, most, entry_bytes, count

    def usage(self) -> CacheUsage:
        entries, weight = self._count(), self._entry_bytes
        return CacheUsage(self._name, entries * weight, self._most * weight, entries)


def shared(
    name: str, *, most: int, entry_bytes: int
) -> Callable[[Callable[Params, ValueT]], Callable[Params, ValueT]]:
    """Let equal arguments share one result, for at most so many.

    Only for arguments that are short by their nature, such as words of the vocabulary.
    """

    def decorate(function: Callable[Params, ValueT]) -> Callable[Params, ValueT]:
        cached = lru_cache(maxsize=most)(function)
        usage = _Shared(name, most, entry_bytes, lambda: cached.cache_info().currsize)
        register(usage)
        cached.usage = usage  # type: ignore[attr-defined]  # for as long as the function is
        # The library's type forgets what a function takes.
        return cast("Callable[Params, ValueT]", cached)

    return decorate


class _Remembered(Generic[ValueT]):
    """A result, which may be None."""

    __slots__ = ("value",)

    def __init__(self, value: ValueT) -> None:
        self.value = value


def remembered(
    name: str, *, bound: int, result_bytes: int = 200
) -> Callable[[Callable[Params, ValueT]], Callable[Params, ValueT]]:
    """Remember what a pure function returns, about ``result_bytes`` each time, by its arguments.

    They are given by position. An exception is not remembered.
    """

    def decorate(function: Callable[Params, ValueT]) -> Callable[Params, ValueT]:
        cache: Cache[tuple[object, ...], _Remembered[ValueT]] = Cache(
            name, bound=bound, weigh=lambda _: result_bytes
        )

        @wraps(function)
        def look(*args: Params.args, **kwargs: Params.kwargs) -> ValueT:
            assert not kwargs
            found = cache.get(args)
            if found is None:
                found = _Remembered(function(*args, **kwargs))
                cache.put(args, found)
            return found.value

        return look

    return decorate
