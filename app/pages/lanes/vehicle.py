"""The vehicle and direction that a page is about, which all links of the page keep."""

from dataclasses import dataclass

from app.vocabulary import Traffic


@dataclass(frozen=True, slots=True)
class Vehicle:
    """A category of traffic and the country that it enters; None is any."""

    traffic: Traffic | None = None
    to: str | None = None

    @property
    def scope(self) -> tuple[list[Traffic], list[str]]:
        """Its traffic and the country it enters, as `Words.for_whom` takes them."""
        return (
            [] if self.traffic is None else [self.traffic],
            [] if self.to is None else [self.to],
        )

    def __bool__(self) -> bool:
        return self != Vehicle()
