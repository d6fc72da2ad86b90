"""Whom a page is about: the vehicle, its direction and who travels. All links keep it."""

from dataclasses import dataclass

from app.http.origin import query_of
from app.status.rule.travellers import ANYONE, Traveller
from app.vocabulary import ExceptionCode, Traffic

GROUPS = (
    ExceptionCode.PERMIT_HOLDERS,
    ExceptionCode.RESIDENTS,
    ExceptionCode.DIPLOMATS,
    ExceptionCode.HUMANITARIAN,
)
"""The groups that forms offer; the other exceptions follow from citizenship and load."""


@dataclass(frozen=True, slots=True)
class Vehicle:
    """A category of traffic, the country that it enters, and who travels; None is any."""

    traffic: Traffic | None = None
    to: str | None = None
    traveller: Traveller = ANYONE

    @property
    def scope(self) -> tuple[list[Traffic], list[str]]:
        """Its traffic and the country it enters, as `Words.for_whom` takes them."""
        return (
            [] if self.traffic is None else [self.traffic],
            [] if self.to is None else [self.to],
        )

    @property
    def parameters(self) -> list[tuple[str, str]]:
        """The query parameters that ask for it, in pages and in the API."""
        traveller = self.traveller
        parameters: list[tuple[str, str | None]] = [
            ("traffic", self.traffic),
            ("to", self.to),
            *(("as", group) for group in sorted(traveller.groups)),
            *(("citizen_of", code) for code in sorted(traveller.citizen_of)),
            ("empty", "true" if traveller.is_empty else None),
            ("weight_kg", str(traveller.weight_kg or "")),
            ("height_m", f"{traveller.height_m:g}" if traveller.height_m else None),
        ]
        return [(name, value) for name, value in parameters if value]

    @property
    def query(self) -> str:
        """Those parameters as the query of an address, with its question mark."""
        return query_of(self.parameters)

    def __bool__(self) -> bool:
        return self != Vehicle()
