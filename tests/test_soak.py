"""The short form of `make soak`, and its sums."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bench.findings import Finding
from bench.soak import MAX_SLOPE, WEIGHTS, Memory, Report, Tally, soak
from bench.stage import staging
from tests.marks import full

MAX_GROWTH_KIB = 128 * 1024
"""Far more than the caches take when they fill, and far less than a leak for every request."""


@full
def test_two_minutes_of_use_have_no_error_and_bounded_memory(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    with staging(tmp_path, quick=True) as stage:
        report = soak(stage, minutes=2)

    assert report.tally.errors == []
    assert report.tally.milliseconds.keys() == WEIGHTS.keys()
    assert len(report.memories) >= 4  # the main process, two that answer, the delivery worker
    assert all(memory.growth < MAX_GROWTH_KIB for memory in report.memories)
    record_property("requests", report.tally.requests)


def test_the_slope_of_memory_is_that_of_the_time_after_it_has_settled() -> None:
    steady = Memory("it", range(9), [0, 500, 900, *(1000 + 2 * minute for minute in range(3, 9))])

    assert steady.slope == pytest.approx(2)


@pytest.mark.parametrize(
    ("minutes", "errors", "slope", "is_good"),
    [
        (30, [], MAX_SLOPE - 1, True),
        (30, [], MAX_SLOPE + 1, False),
        (2, [], MAX_SLOPE + 1, True),
        (2, ["status: 500"], 0, False),
    ],
)
def test_an_error_or_in_the_long_run_growing_memory_is_a_failure(
    minutes: int, errors: list[str], slope: float, is_good: bool
) -> None:
    memory = Memory("it", range(30), [slope * minute for minute in range(30)])
    report = Report(minutes, 100, Tally(errors=errors), [memory])

    assert report.is_good == is_good
    assert all(isinstance(finding, Finding) for finding in report.findings())
