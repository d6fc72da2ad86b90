"""Query parameters of questions about statuses: who asks."""

from typing import Annotated

from fastapi import Depends, Query
from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from app.http.bodies import CountryCode
from app.places.schemas import Kilograms, Metres
from app.status.rule.travellers import Traveller
from app.vocabulary import ExceptionCode


def _says_who(value: ExceptionCode) -> ExceptionCode:
    if value is ExceptionCode.OTHER:
        raise PydanticCustomError("group", "does not say who you are")
    return value


Group = Annotated[ExceptionCode, AfterValidator(_says_who)]
"""A group with exceptions that somebody can belong to."""
Groups = Annotated[
    list[Group],
    Query(
        alias="as",
        max_length=20,
        default_factory=list,
        description="Groups with exceptions that the traveller belongs to; repeatable.",
    ),
]
CitizenOf = Annotated[
    list[CountryCode],
    Query(
        max_length=20,
        default_factory=list,
        description="The traveller's citizenships; repeatable.",
    ),
]
Empty = Annotated[bool, Query(description="The vehicle is empty.")]
Weight = Annotated[Kilograms | None, Query(description="The vehicle's weight.", examples=[40_000])]
Height = Annotated[Metres | None, Query(description="The vehicle's height.", examples=[4.0])]


def traveller_of(
    groups: Groups,
    citizen_of: CitizenOf,
    empty: Empty = False,
    weight_kg: Weight = None,
    height_m: Height = None,
) -> Traveller:
    """Return who asks, as the query parameters say."""
    return Traveller(frozenset(groups), frozenset(citizen_of), empty, weight_kg, height_m)


TravellerQuery = Annotated[Traveller, Depends(traveller_of)]
