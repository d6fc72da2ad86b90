"""Caches of a process, each bounded in bytes.

A cache bounded by its number of entries would grow with the length of requests. So keys and values
are weighed, long keys are not cached, and the oldest entries are dropped first. A register of all
caches serves the metrics.
"""

import weakref
from collections.abc import Callable, Hashable
from dataclasses import dataclass, fields, is_dataclass
from functools import lru_cache, wraps
from typing import Generic, ParamSpec, Protocol, TypeVar, cast

LONGEST_KEY = 1_000
"""The longest key in bytes that is cached."""
_OVERHEAD = 200
"""The approximate overhead of an entry in bytes."""

KeyT = TypeVar("KeyT", bound=Hashable)
ValueT = TypeVar("ValueT")
Params = ParamSpec("Params")


@dataclass(frozen=True, slots=True)
class CacheUsage:
    """The present size of a cache."""

    name: str
    bytes: int
    bound: int
    """The most bytes that it may use."""
    entries: int


class Bounded(Protocol):
    """A member of the register."""

    def usage(self) -> CacheUsage:
        """Return the present size."""


_registered: "weakref.WeakSet[Bounded]" = weakref.WeakSet()


def register(cache: Bounded) -> None:
    """Add a cache to the register, until nothing else refers to it."""
    _registered.add(cache)


def usages() -> dict[str, CacheUsage]:
    """Return the sizes of the caches of the process by name.

    Caches of the same name are added up, including their bounds.
    """
    usage_by_name: dict[str, CacheUsage] = {}
    for cache in list(_registered):
        usage = cache.usage()
        total = usage_by_name.get(usage.name, CacheUsage(usage.name, 0, 0, 0))
        usage_by_name[usage.name] = CacheUsage(
            usage.name,
            usage.bytes + total.bytes,
            usage.bound + total.bound,
            usage.entries + total.entries,
        )
    return usage_by_name


def weight_of(key: object) -> int:
    """Return the approximate size of a key in bytes."""
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
    """Values by their keys. ``weigh`` returns the size of a value in bytes."""

    def __init__(self, name: str, *, bound: int, weigh: Callable[[ValueT], int]) -> None:
        self._name = name
        self._bound = bound
        self._weigh = weigh
        self._items: dict[KeyT, ValueT] = {}
        self._weights: dict[KeyT, int] = {}
        self._bytes = 0
        self.get: Callable[[KeyT], ValueT | None] = self._items.get
        """Return the cached value of a key, or None."""
        register(self)

    def put(self, key: KeyT, value: ValueT) -> None:
        """Cache a value, unless its key is too long or the value alone exceeds the bound."""
        self.drop(key)
        key_weight = weight_of(key)
        weight = _OVERHEAD + key_weight + self._weigh(value)
        if key_weight > LONGEST_KEY or weight > self._bound:
            return
        self._items[key], self._weights[key] = value, weight
        self._bytes += weight
        while self._bytes > self._bound:
            self.drop(next(iter(self._items)))

    def drop(self, key: KeyT) -> None:
        """Remove a value."""
        if key in self._items:
            del self._items[key]
            self._bytes -= self._weights.pop(key)

    def usage(self) -> CacheUsage:
        """Return the present size."""
        return CacheUsage(self._name, self._bytes, self._bound, len(self._items))


class _SharedCache:
    """A registered cache whose entries are all of about the same size."""

    def __init__(self, name: str, most: int, entry_bytes: int, count: Callable[[], int]) -> None:
        self._name, self._most, self._entry_bytes, self._count = name, most, entry_bytes, count

    def usage(self) -> CacheUsage:
        entries, weight = self._count(), self._entry_bytes
        return CacheUsage(self._name, entries * weight, self._most * weight, entries)


def shared(
    name: str, *, most: int, entry_bytes: int
) -> Callable[[Callable[Params, ValueT]], Callable[Params, ValueT]]:
    """Cache the results of a function for at most ``most`` different arguments.

    Only for arguments that are always short, such as members of the vocabulary.
    """

    def decorate(function: Callable[Params, ValueT]) -> Callable[Params, ValueT]:
        cached = lru_cache(maxsize=most)(function)
        usage = _SharedCache(name, most, entry_bytes, lambda: cached.cache_info().currsize)
        register(usage)
        cached.usage = usage  # type: ignore[attr-defined]  # keeps it registered as long as the function exists
        # The type of lru_cache has lost the parameters.
        return cast("Callable[Params, ValueT]", cached)

    return decorate


class _Result(Generic[ValueT]):
    """A cached result, which may be None."""

    __slots__ = ("value",)

    def __init__(self, value: ValueT) -> None:
        self.value = value


def remembered(
    name: str, *, bound: int, result_bytes: int = 200
) -> Callable[[Callable[Params, ValueT]], Callable[Params, ValueT]]:
    """Cache the results of a pure function, of about ``result_bytes`` each, by its arguments.

    Arguments must be positional. Exceptions are not cached.
    """

    def decorate(function: Callable[Params, ValueT]) -> Callable[Params, ValueT]:
        cache: Cache[tuple[object, ...], _Result[ValueT]] = Cache(
            name, bound=bound, weigh=lambda _: result_bytes
        )

        @wraps(function)
        def wrapper(*args: Params.args, **kwargs: Params.kwargs) -> ValueT:
            assert not kwargs
            result = cache.get(args)
            if result is None:
                result = _Result(function(*args, **kwargs))
                cache.put(args, result)
            return result.value

        return wrapper

    return decorate
