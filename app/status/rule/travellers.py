"""The status for one traveller: the exceptions that apply to them, the limits they exceed. Pure.

A closure with an exception for the traveller is a restriction for them, which needs evidence like
any restriction: without a recent confirmation the answer is unknown. What declares a limit that
the traveller exceeds is a closure for them. Which declarations are in force is not affected.
"""

from dataclasses import dataclass, replace

from app.status.rule.history import (
    NO_TERMS,
    Declaration,
    ExceptedGroup,
    History,
    Limits,
    Terms,
)
from app.vocabulary import ExceptionCode, LaneReason, Status

EU_MEMBERS = frozenset({
    "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU",
    "IE", "IT", "LT", "LU", "LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK",
})  # fmt: skip
"""ISO 3166 codes of the member states of the European Union since 2020-02-01."""


@dataclass(frozen=True, slots=True)
class Traveller:
    """Who asks, as far as they say. The default says nothing, so that every answer is general."""

    groups: frozenset[ExceptionCode] = frozenset()
    """Groups that they belong to, whatever the side."""
    citizen_of: frozenset[str] = frozenset()
    """ISO 3166 codes of countries."""
    is_empty: bool = False
    """Whether their vehicle is empty."""
    weight_kg: int | None = None
    """The actual weight of their vehicle; None is not said."""
    height_m: float | None = None

    @property
    def is_anyone(self) -> bool:
        return self == ANYONE

    def belongs_to(self, group: ExceptionCode, sides: frozenset[str]) -> bool:
        """Return whether an exception for ``group``, declared by ``sides``, applies to them."""
        match group:
            case ExceptionCode.OTHER:
                return False  # only its text says for whom
            case ExceptionCode.OWN_CITIZENS if self.citizen_of & sides:
                return True
            case ExceptionCode.EU_CITIZENS if self.citizen_of & EU_MEMBERS:
                return True
            case ExceptionCode.EMPTY_VEHICLES if self.is_empty:
                return True
            case _:
                return group in self.groups

    def exceeded(self, limits: Limits) -> LaneReason | None:
        """Return which of the limits their vehicle exceeds; None if it exceeds none."""
        if _exceeds(self.weight_kg, limits.max_weight_kg):
            return LaneReason.MAX_WEIGHT
        if _exceeds(self.height_m, limits.max_height_m):
            return LaneReason.MAX_HEIGHT
        return None

    def exemptions(self, declaration: Declaration) -> tuple[ExceptedGroup, ...]:
        """Return the exceptions of a declaration that apply to them."""
        return tuple(
            exemption
            for exemption in declaration.terms.exceptions
            if self.belongs_to(exemption.code, declaration.sides)
        )


ANYONE = Traveller()


def for_traveller(history: History, traveller: Traveller) -> History:
    """Return a history in which each declaration has the status that it has for a traveller.

    How long statuses had held at the beginning of a history that was cut is not known for them,
    unless no declaration has another status for them.
    """
    if traveller.is_anyone:
        return history
    events = tuple(
        _for_traveller(event, traveller) if isinstance(event, Declaration) else event
        for event in history.events
    )
    if events == history.events:
        return history
    return replace(history, events=events, held=None)


def _for_traveller(declaration: Declaration, traveller: Traveller) -> Declaration:
    terms = declaration.terms
    if terms is NO_TERMS:
        return declaration
    limit = traveller.exceeded(terms.limits)
    if limit is not None:
        return replace(declaration, status=Status.CLOSED, reason=limit)
    exemptions = traveller.exemptions(declaration)
    if declaration.status is not Status.CLOSED or not exemptions:
        return declaration
    return replace(
        declaration,
        status=Status.RESTRICTED,
        reason=LaneReason.EXCEPTION,
        terms=Terms(exemptions, terms.limits),
    )


def _exceeds(value: float | None, limit: float | None) -> bool:
    return value is not None and limit is not None and value > limit
