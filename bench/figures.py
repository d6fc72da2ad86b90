"""The last figures of what measures a promise, which docs/promises.md shows."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

FIGURES = Path(__file__).with_name("results") / "promises.json"

Figures = dict[str, str | int | float]
"""By name; ``date`` is the day of the measurement."""


def read_figures(path: Path = FIGURES) -> dict[str, Figures]:
    """Return the figures by what measured them: a file of tests, or `bench/soak.py`."""
    figures: dict[str, Figures] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return figures


def record_figures(figures: Mapping[str, Figures], path: Path = FIGURES) -> None:
    """Replace the figures of what was measured now, and keep the others."""
    date = f"{datetime.now(UTC):%Y-%m-%d}"
    dated = {name: {"date": date, **values} for name, values in figures.items()}
    every = dict(sorted({**read_figures(path), **dated}.items()))
    path.write_text(json.dumps(every, indent=1) + "\n", encoding="utf-8")
