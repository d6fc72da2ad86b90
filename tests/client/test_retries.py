"""What is tried again, and after how long."""

from datetime import UTC, datetime

import pytest

from crossing_status.client.retries import Retries, is_passing, retry_after

PATIENT = Retries(attempts=4, first_delay=1.0, longest_delay=3.0)


def test_delays_double_up_to_the_longest_and_vary() -> None:
    delays = [[PATIENT.delay(attempt) for _ in range(100)] for attempt in (1, 2, 3)]

    for longest, of_attempt in zip((1.0, 2.0, 3.0), delays, strict=True):
        assert all(delay is not None and longest / 2 <= delay <= longest for delay in of_attempt)
        assert len(set(of_attempt)) > 1


def test_after_the_last_attempt_there_is_none() -> None:
    assert PATIENT.delay(4) is None


def test_the_service_may_ask_for_longer_but_not_for_too_long() -> None:
    assert PATIENT.delay(1, retry_after=2.5) == 2.5
    assert PATIENT.delay(1, retry_after=3.5) is None


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504])
def test_a_refusal_that_passes_is_tried_again(status: int) -> None:
    assert is_passing(status, "")


def test_of_conflicts_only_that_with_ones_own_first_request_passes() -> None:
    assert is_passing(409, "idempotency-key-in-flight")
    assert not is_passing(409, "superseded")
    assert not any(is_passing(status, "") for status in (400, 401, 403, 404, 422, 500))


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 37.0),
        ("Sun, 06 Nov 1994 08:40:00 GMT", 0.0),
        ("soon", None),
        ("-1", None),
        ("", None),
    ],
)
def test_retry_after_is_a_number_or_a_date(value: str, seconds: float | None) -> None:
    now = datetime(1994, 11, 6, 8, 49, tzinfo=UTC)

    assert retry_after({"retry-after": value}, now) == seconds
