"""Bodies of crossings, without what the status adds."""

from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from app.http.bodies import Body, BorderId, CountryCode, CrossingId, Line, example
from app.sources.schemas import CITATION_EXAMPLE, CitationIn, CitationOut
from app.vocabulary import Mode, Traffic

DEFAULT_CONFIRM_WITHIN_DAYS = 30


def _distinct(values: list[str]) -> list[str]:
    if len(set(values)) < len(values):
        raise PydanticCustomError("distinct", "must not repeat an item")
    return values


_UNIQUE = {"uniqueItems": True}
Distinct = AfterValidator(_distinct)
TrafficList = Annotated[list[Traffic], Distinct, Field(min_length=1, json_schema_extra=_UNIQUE)]


class Name(Body):
    """What one side's checkpoint is called in one language."""

    lang: str = Field(pattern="^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$", max_length=35, examples=["lt"])
    side: CountryCode
    name: Line = Field(examples=["Šumskas"])


class Location(Body):
    """A point in WGS 84 degrees, and how far off it may be."""

    lat: float = Field(ge=-90, le=90, allow_inf_nan=False, examples=[54.6063])
    lon: float = Field(ge=-180, le=180, allow_inf_nan=False, examples=[25.7557])
    precision_km: float = Field(gt=0, le=100, allow_inf_nan=False, examples=[3.5])


class CrossingIn(Body):
    """A border crossing point: two checkpoints facing each other."""

    model_config = example(
        {
            "id": "example-crossing",
            "sides": ["BY", "LT"],
            "mode": "road",
            "traffic": ["car", "truck"],
            "names": [{"lang": "lt", "side": "LT", "name": "Pavyzdys"}],
            "aliases": ["Pavizdis"],
            "location": {"lat": 54.9, "lon": 25.8, "precision_km": 2.5},
            "citations": [CITATION_EXAMPLE],
        }
    )

    id: CrossingId
    sides: Annotated[
        list[CountryCode],
        Distinct,
        Field(min_length=2, max_length=2, examples=[["BY", "LT"]], json_schema_extra=_UNIQUE),
    ]
    mode: Mode = Mode.ROAD
    traffic: TrafficList = Field(description="What it is authorised for; a lane each way.")
    names: list[Name] = Field(min_length=1, max_length=100)
    aliases: list[Line] = Field([], max_length=100, description="Other spellings.")
    location: Location | None = None
    confirm_within_days: int = Field(
        DEFAULT_CONFIRM_WITHIN_DAYS,
        ge=1,
        le=3650,
        description="An open or restricted that nothing has confirmed for so many days is"
        " answered as unknown.",
    )
    citations: list[CitationIn] = Field(min_length=1, max_length=50)

    @field_validator("names")
    @classmethod
    def _names_are_of_its_sides(cls, value: list[Name], others: ValidationInfo) -> list[Name]:
        sides = others.data.get("sides")
        if sides is not None and any(name.side not in sides for name in value):
            raise PydanticCustomError("names", "every name must be of one of the two sides")
        return value


class CrossingDetails(Body):
    """A crossing as known: the fields it was posted with, its border and its version."""

    id: CrossingId
    border: BorderId
    sides: list[CountryCode]
    mode: Mode
    traffic: list[Traffic]
    names: list[Name]
    aliases: list[str]
    location: Location | None
    confirm_within_days: int
    citations: list[CitationOut]
    version: int = Field(description="The change that brought these details.")
