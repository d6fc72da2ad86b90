"""For which vehicle and direction a page answers: chosen once, it travels along with every link."""

from dataclasses import dataclass

from app.vocabulary import Traffic


@dataclass(frozen=True, slots=True)
class Vehicle:
    """The traffic and the country that it enters; None is any."""

    traffic: Traffic | None = None
    to: str | None = None

    def __bool__(self) -> bool:
        return self != Vehicle()
