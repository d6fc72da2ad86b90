"""What is tried again, and after how long. Pure, but for chance."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_AGAIN = frozenset({408, 429, 502, 503, 504})
"""Answers to a request that may be sent again as it is."""
_IN_FLIGHT = "idempotency-key-in-flight"
"""The problem of a write whose first request, of which we lost the answer, is still running."""


@dataclass(frozen=True, slots=True)
class Retries:
    """How often, and how patiently, a request is tried again.

    Only requests that may be repeated are: reads, and writes with their ``Idempotency-Key``.
    """

    attempts: int = 5
    """Including the first."""
    first_delay: float = 0.5
    """Seconds before the second attempt, on average; the delays double."""
    longest_delay: float = 30.0
    """Seconds that a delay may last; if the service asks for more, its refusal is raised."""

    def delay(self, attempt: int, retry_after: float | None = None) -> float | None:
        """Return the seconds to wait after the attempt of this number, from 1 on; None: give up.

        Never less than ``retry_after``, which the service asked for, and otherwise by chance, so
        that clients that failed together do not come back together.
        """
        if attempt >= self.attempts:
            return None
        if retry_after is not None and retry_after > self.longest_delay:
            return None
        return max(retry_after or 0, self.backoff(attempt))

    def backoff(self, attempt: int) -> float:
        """Return the seconds to wait after the attempt of this number, however many there are."""
        mean = min(self.first_delay * 2.0 ** min(attempt - 1, 30), self.longest_delay)
        return mean * random.uniform(0.5, 1.0)  # noqa: S311  # no secret


def is_passing(status: int, slug: str) -> bool:
    """Return whether a refusal is one that passes by itself."""
    return status in _AGAIN or (status == 409 and slug == _IN_FLIGHT)  # noqa: PLR2004


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Return the seconds of ``Retry-After``: a number, or a date, which is compared with ``now``.

    None without it, or if it cannot be read.
    """
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    now = now or datetime.now(UTC)
    return max(0.0, (date.replace(tzinfo=date.tzinfo or UTC) - now).total_seconds())
