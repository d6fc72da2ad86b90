"""Which tests are long by nature, and left to `make test-full`."""

from typing import Any

import pytest

full = pytest.mark.full


def in_full(*values: object) -> list[Any]:
    """Mark values of one parameter, or of several as tuples, as long by nature."""
    return [
        pytest.param(*(value if isinstance(value, tuple) else (value,)), marks=full)
        for value in values
    ]
