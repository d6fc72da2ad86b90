"""The shares of statuses as parts of a bar. Pure."""

from dataclasses import dataclass

from app.statistics.figures import Figures
from app.vocabulary import Status


@dataclass(frozen=True, slots=True)
class Part:
    """The part of a bar that is of one status, with its position and width in percent."""

    status: Status
    x: float
    width: float


def parts_of(figures: Figures) -> list[Part]:
    """Return the parts of a bar, without those that have no width."""
    parts: list[Part] = []
    x = 0.0
    for status in Status:
        width = round(100 * figures.share(status), 3)
        if width:
            parts.append(Part(status, round(x, 3), width))
        x += width
    return parts
