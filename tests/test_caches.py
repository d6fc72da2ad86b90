"""What a process remembers stays within its bytes, whatever strangers ask."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.caches import LONGEST_KEY, Cache, CacheUsage, remembered, shared, usages
from app.changes.filters import Filter
from tests.api import SUMSKAS, Api

BOUND = 10_000


# One cache


@given(
    asked=st.lists(
        st.tuples(st.binary(max_size=20), st.integers(0, 2 * BOUND), st.booleans()), max_size=100
    )
)
def test_a_cache_weighs_what_it_holds_and_never_more_than_its_bound(
    asked: list[tuple[bytes, int, bool]],
) -> None:
    cache: Cache[bytes, int] = Cache("mine", bound=BOUND, weigh=lambda size: size)
    for key, size, is_kept in asked:
        if is_kept:
            cache.put(key, size)
            assert cache.get(key) in {size, None}
        else:
            cache.drop(key)
            assert cache.get(key) is None
        held = {key: cache.get(key) for key, _, _ in asked if cache.get(key) is not None}
        told = cache.usage()
        assert told.entries == len(held)
        assert sum(held.values(), start=0) <= told.bytes <= BOUND  # type: ignore[arg-type]
        assert bool(told.bytes) == bool(held)


def test_the_oldest_goes_first() -> None:
    cache: Cache[int, int] = Cache("mine", bound=BOUND, weigh=lambda _: BOUND // 3)
    for key in range(4):
        cache.put(key, key)
    assert [cache.get(key) for key in range(4)] == [None, None, 2, 3]


def test_a_key_counts_and_a_long_one_is_not_remembered() -> None:
    cache: Cache[str, int] = Cache("mine", bound=BOUND, weigh=lambda _: 0)
    cache.put("k" * LONGEST_KEY, 1)
    assert cache.get("k" * LONGEST_KEY) == 1
    assert cache.usage().bytes >= LONGEST_KEY
    for long in ("k" * (LONGEST_KEY + 1), "š" * (LONGEST_KEY // 2 + 1)):
        cache.put(long, 1)
        assert cache.get(long) is None


def test_the_names_of_a_filter_count() -> None:
    cache: Cache[Filter, bool] = Cache("mine", bound=BOUND, weigh=lambda _: 0)
    short = Filter(crossings=frozenset(["a" * 80]))
    long = Filter(crossings=frozenset(f"crossing-{number}" for number in range(100)))
    cache.put(short, True)
    cache.put(long, True)
    assert (cache.get(short), cache.get(long)) == (True, None)


def test_a_value_that_is_larger_than_the_cache_is_not_remembered() -> None:
    cache: Cache[int, int] = Cache("mine", bound=BOUND, weigh=lambda size: size)
    cache.put(1, 10)
    cache.put(2, BOUND)
    cache.put(1, BOUND)
    assert cache.usage().entries == 0


def test_a_function_is_asked_once_for_each_argument_also_where_it_returns_nothing() -> None:
    asked: list[str] = []

    @remembered("mine", bound=BOUND)
    def find(name: str) -> str | None:
        asked.append(name)
        return name or None

    for _ in range(2):
        assert (find("a"), find(""), find("x" * 2_000)) == ("a", None, "x" * 2_000)
    assert asked == ["a", "", "x" * 2_000, "x" * 2_000]


def test_a_function_whose_results_are_shared_is_in_the_register() -> None:
    @shared("mine too", most=2, entry_bytes=100)
    def double(number: int) -> list[int]:
        return [number] * 2

    assert double(1) is double(1)
    for number in range(5):
        double(number)
    assert usages()["mine too"] == CacheUsage("mine too", 200, 200, 2)


# All of a process


LONG = "&" * 1_200
"""Between parameters, it says nothing."""
ADDRESSES = (
    f"/v1/crossings/{SUMSKAS}/status?traffic=car",
    f"/v1/crossings/{SUMSKAS}?",
    "/v1/crossings?limit=3",
    "/v1/borders?limit=3",
    "/feeds/crossings.geojson?border=BY-LT",
    "/?border=BY-LT",
    f"/crossings/{SUMSKAS}?lang=lt",
    f"/badges/{SUMSKAS}.svg?lang=lt",
)


async def test_every_cache_of_the_service_is_in_the_register(seeded_api: Api) -> None:
    for address in ADDRESSES:
        await seeded_api.client.get(address)
    names = usages().keys()
    assert names >= {
        "board", "questions", "weights", "gzip", "pages", "recent changes", "stream filters",
        "lanes", "scopes", "sides", "zones",
        "queues", "observed names", "observed lanes", "observation sources",
    }  # fmt: skip
    assert all(one.bytes <= one.bound for one in usages().values())


@pytest.mark.parametrize("address", ADDRESSES)
async def test_a_question_in_many_words_is_answered_and_forgotten(
    seeded_api: Api, address: str
) -> None:
    plain = await seeded_api.client.get(address)
    before = {name: usages()[name].entries for name in ("board", "questions", "pages")}
    # The page cache would let go of the plain one meanwhile: only more entries count.
    wordy = await seeded_api.client.get(f"{address}{LONG}")
    assert (wordy.status_code, plain.status_code) == (200, 200)
    for name, entries in before.items():
        assert usages()[name].entries <= entries, name


async def test_what_is_not_found_or_refused_is_not_remembered(seeded_api: Api) -> None:
    addresses = [
        "/v1/nothing", "/nothing", "/v1/crossings/nowhere", "/v1/crossings/nowhere/status",
        "/crossings/nowhere", "/badges/nowhere.svg", "/v1/crossings?surplus=1", "/?border=XX-YY",
        f"/v1/crossings/{SUMSKAS}/status?to=XX",
    ]  # fmt: skip
    before = {name: usages()[name].entries for name in ("board", "pages")}
    for number in range(3):
        for address in addresses:
            mark = "&" if "?" in address else "?"
            answer = await seeded_api.client.get(f"{address}{mark}n={number}")
            assert answer.status_code in {404, 422}, address
    assert {name: usages()[name].entries for name in before} == before


async def test_a_list_with_a_link_is_remembered_once_for_each_host(seeded_api: Api) -> None:
    """The link begins with the host that was asked; without its page, each would be made anew."""
    before = usages()["board"].entries
    for host in ("one.example", "two.example") * 3:
        page = await seeded_api.client.get("/v1/crossings?limit=7", headers={"Host": host})
        assert page.json()["next"].startswith(f"http://{host}/")
    assert usages()["board"].entries == before + 2


async def test_many_different_questions_stay_within_the_bounds(seeded_api: Api) -> None:
    for number in range(300):
        padding = f"{number:03}" + "x" * 600
        headers = {"Accept-Encoding": f"gzip, {padding}"}
        await seeded_api.client.get(f"/v1/crossings?limit={number + 1}", headers=headers)
        await seeded_api.client.get(f"/nothing/{padding}?{padding}", headers=headers)
    assert all(one.bytes <= one.bound for one in usages().values())
    assert usages()["weights"].entries >= 1
