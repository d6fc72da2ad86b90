"""What was measured, what it should be, and what to call that."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

HEADING = f"{'':64} {'value':>9}  {'quartiles':15} {'target':>8}  verdict"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One figure; ``spread`` holds the quartiles of the rounds that it is the median of.

    ``unit`` is ``x`` for a ratio. Of the two targets at most one is set. Without a value nothing
    could be measured here, and ``note`` says why.
    """

    name: str
    value: float | None
    unit: str = "x"
    spread: tuple[float, float] | None = None
    at_least: float | None = None
    at_most: float | None = None
    note: str = ""
    rounds: Sequence[Mapping[str, float]] = ()

    @property
    def verdict(self) -> str:
        """Say whether the target is met; a miss that the spread may explain is told apart."""
        if self.value is None:
            return "not measured"
        if self.at_least is None and self.at_most is None:
            return "-"
        if self._meets(self.value):
            return "met"
        return "missed within the spread" if any(map(self._meets, self.spread or ())) else "missed"

    def row(self) -> str:
        """Return the line of the table."""
        low_high = "-" if self.spread is None else "..".join(map(_figure, self.spread))
        unit = "" if self.unit == "x" else f" {self.unit}"
        note = f"  ({self.note})" if self.note else ""
        value = "-" if self.value is None else _figure(self.value) + unit
        figures = f"{value:>9}  {low_high:15} {self._target():>8}"
        return f"{self.name:64} {figures}  {self.verdict}{note}"

    def told(self) -> dict[str, object]:
        return {**asdict(self), "verdict": self.verdict}

    def _meets(self, value: float) -> bool:
        low = self.at_least is None or value >= self.at_least
        return low and (self.at_most is None or value <= self.at_most)

    def _target(self) -> str:
        if self.at_least is not None:
            return f">= {self.at_least:g}"
        return "-" if self.at_most is None else f"<= {self.at_most:g}"


def unmeasured(name: str, why: str) -> Finding:
    return Finding(name=name, value=None, note=why)


def median_of(
    name: str,
    values: Sequence[float],
    *,
    unit: str = "x",
    at_least: float | None = None,
    at_most: float | None = None,
    note: str = "",
    rounds: Sequence[Mapping[str, float]] | None = None,
) -> Finding:
    """Return the finding of two rounds or more; without ``rounds`` the values tell them."""
    lower, middle, upper = statistics.quantiles(values, n=4, method="inclusive")
    return Finding(
        name=name,
        value=middle,
        unit=unit,
        spread=(lower, upper),
        at_least=at_least,
        at_most=at_most,
        note=note,
        rounds=[{"value": value} for value in values] if rounds is None else rounds,
    )


def ratio_of(
    name: str,
    pairs: Sequence[tuple[float, float]],
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    note: str = "",
) -> Finding:
    """Return the finding of pairs of a subject's and its baseline's figure, one a round."""
    return median_of(
        name,
        [subject / baseline for subject, baseline in pairs],
        at_least=at_least,
        at_most=at_most,
        note=note,
        rounds=[{"subject": subject, "baseline": baseline} for subject, baseline in pairs],
    )


def percentile(values: Sequence[float], percent: int) -> float:
    """Return the smallest value that at least ``percent`` of all values do not exceed."""
    ordered = sorted(values)
    return ordered[-(-len(ordered) * percent // 100) - 1]


def keep(
    path: Path,
    *,
    machine: Mapping[str, object],
    findings: Sequence[Finding],
) -> None:
    """Keep everything measured, every round, for comparison with other days and machines."""
    told = {"machine": machine, "findings": [one.told() for one in findings]}
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.3f}"
