"""Bodies of crossings, without what the status adds."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, LiteralString, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from app.http.bodies import (
    STORED,
    Body,
    BorderId,
    CountryCode,
    CrossingId,
    Instant,
    Line,
    ZoneName,
    example,
    known_language,
)
from app.places.geography import Box, Point, lies_around
from app.places.hours import RegularHours
from app.places.phones import check_phone
from app.places.phrases import fold
from app.places.zones import Clocks, chief_place
from app.sources.schemas import CITATION_EXAMPLE, CitationOut, Citations, SourceUrl
from app.status.rule.history import Lane
from app.validation import EMAIL, PHONE
from app.vocabulary import Mode, Traffic

DEFAULT_CONFIRM_WITHIN_DAYS = 30
NAMES_OF_SIDES: LiteralString = "every name must belong to one of the two sides"


@contextmanager
def as_fault(kind: LiteralString) -> Iterator[None]:
    """Turn a ValueError into a fault of the field, in the same words."""
    try:
        yield
    except ValueError as error:
        raise PydanticCustomError(kind, "{fault}", {"fault": str(error)}) from error


def _distinct(values: list[str]) -> list[str]:
    if len(set(values)) < len(values):
        raise PydanticCustomError("distinct", "must not repeat an item")
    return values


_UNIQUE = {"uniqueItems": True}
Distinct = AfterValidator(_distinct)
"""Comes after the length of a list, which is checked before the items are."""
TrafficList = Annotated[
    list[Traffic],
    Field(min_length=1, max_length=len(Traffic), json_schema_extra=_UNIQUE),
    Distinct,
]


class Name(Body, title="CrossingName"):
    """What one side's checkpoint is called in one language."""

    lang: str = Field(pattern="^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$", max_length=35, examples=["lt"])
    side: CountryCode
    name: Line = Field(examples=["Šumskas"])


class Location(Body):
    """A point in WGS 84 degrees, and how far off it may be."""

    lat: float = Field(strict=True, ge=-90, le=90, allow_inf_nan=False, examples=[54.6063])
    lon: float = Field(strict=True, ge=-180, le=180, allow_inf_nan=False, examples=[25.7557])
    precision_km: float = Field(strict=True, gt=0, le=100, allow_inf_nan=False, examples=[3.5])


def _in_known_languages(names: list[Name]) -> list[Name]:
    for name in names:
        known_language(name.lang)
    return names


def check_traffic(mode: Mode, traffic: Sequence[Traffic]) -> None:
    """Raise ValueError for traffic that this mode does not carry.

    A railway carries trains alone; trains cross by rail, or by water on a ferry.
    """
    unexpected = [category.value for category in traffic if category is not Traffic.TRAIN]
    if mode is Mode.RAIL and unexpected:
        raise ValueError(f"a rail crossing is for trains only, not for {', '.join(unexpected)}")
    if mode in {Mode.ROAD, Mode.AIR} and Traffic.TRAIN in traffic:
        raise ValueError(f"trains cannot use a crossing of mode {mode.value}")


def check_location(sides: Sequence[str], location: Location) -> None:
    """Raise ValueError for a location that lies around neither of the two countries."""
    point = Point(location.lat, location.lon)
    if not any(lies_around(side, point) for side in sides):
        raise ValueError(
            f"lies in neither {' nor '.join(sides)}, nor within 100 km of them:"
            " make sure that lat and lon are not swapped"
        )


def check_hours(
    sides: Sequence[str], traffic: Sequence[Traffic], hours: "Sequence[HoursOfSide]"
) -> None:
    """Raise ValueError for hours of another side, or of lanes that there are not."""
    for entry in hours:
        strangers = {entry.side, *([entry.to] if entry.to else [])} - set(sides)
        if strangers:
            raise ValueError(f"{min(strangers)} is not one of the two sides")
        others = [word.value for word in entry.traffic or () if word not in traffic]
        if others:
            raise ValueError(f"the crossing is not authorised for {', '.join(others)}")


def check_contacts(sides: Sequence[str], contacts: "Sequence[Contact]") -> None:
    """Raise ValueError for a contact of a country that is not one of the sides."""
    strangers = {contact.side for contact in contacts} - set(sides)
    if strangers:
        raise ValueError(f"{min(strangers)} is not one of the two sides")


Names = Annotated[
    list[Name], Field(min_length=1, max_length=100), AfterValidator(_in_known_languages)
]
Aliases = Annotated[list[Line], Field(max_length=100, description="Other spellings.")]
ConfirmWithinDays = Annotated[
    int,
    Field(
        strict=True,
        ge=1,
        le=3650,
        description="Days after which an unconfirmed open or restricted is answered as unknown.",
    ),
]
ConfirmWithinHours = Annotated[
    int, Field(strict=True, ge=1, le=240, description="Hours, instead of the days.")
]


class HoursOfSide(Body, title="RegularHours"):
    """When a side regularly lets traffic through. Holidays (`PH`) are those of the side."""

    side: CountryCode
    traffic: TrafficList | None = Field(None, description="Null means all.")
    to: CountryCode | None = Field(None, description="Null means both directions.")
    time_zone: ZoneName = Field(examples=["Europe/Vilnius"])
    opening_hours: str = Field(
        min_length=1,
        max_length=500,
        description="In the `opening_hours` syntax of OpenStreetMap, by the clock of the zone.",
        examples=["Mo-Su 06:00-22:00; Dec 25 off"],
    )

    @field_validator("opening_hours")
    @classmethod
    def _can_be_evaluated(cls, value: str, info: ValidationInfo) -> str:
        side, zone = info.data.get("side"), info.data.get("time_zone")
        if info.context != STORED and side and zone:
            with as_fault("opening_hours"):
                RegularHours(value, zone, side).check()
        return value

    @property
    def schedule(self) -> RegularHours:
        return RegularHours(self.opening_hours, self.time_zone, self.side)

    def covers(self, traffic: Traffic, to: str) -> bool:
        return (self.traffic is None or traffic in self.traffic) and self.to in {None, to}


HoursList = Annotated[
    list[HoursOfSide],
    Field(
        max_length=100,
        description="Outside them a lane is closed; without any, a side's hours are unknown.",
    ),
]


class Contact(Body, title="Contact"):
    """Whom to ask about a side: an authority, and at least a phone, an e-mail address or a URL."""

    side: CountryCode
    authority: Line
    phone: str | None = Field(None, pattern=PHONE, description="E.164.", examples=["+37031234567"])
    email: str | None = Field(
        None,
        pattern=EMAIL,
        max_length=254,
        examples=["ask@example.org"],
    )
    url: SourceUrl | None = Field(None, examples=["https://example.org/contacts"])
    address: Line | None = Field(None, examples=["Savanorių pr. 2, Vilnius"])

    @field_validator("phone")
    @classmethod
    def _phone_is_in_a_plan(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.context != STORED:
            with as_fault("phone"):
                check_phone(value)
        return value

    @model_validator(mode="after")
    def _can_be_reached(self) -> Self:
        if self.phone is self.email is self.url is None:
            raise PydanticCustomError("contact", "must have phone, email or url")
        return self


Contacts = Annotated[
    list[Contact], Field(max_length=20, description="Whom to ask, each on one side.")
]

Kilograms = Annotated[int, Field(gt=0, le=1_000_000)]
Metres = Annotated[float, Field(gt=0, le=50, allow_inf_nan=False)]
"""The weight and the height of any vehicle."""
MaxWeight = Annotated[Kilograms | None, Field(description="Heavier vehicles cannot cross.")]
MaxHeight = Annotated[Metres | None, Field(description="Higher vehicles cannot cross.")]


class CrossingIn(Body, title="NewCrossing"):
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
        Field(min_length=2, max_length=2, examples=[["BY", "LT"]], json_schema_extra=_UNIQUE),
        Distinct,
    ]
    mode: Mode = Mode.ROAD
    traffic: TrafficList = Field(
        description="The traffic it is authorised for; each has a lane in both directions."
    )
    names: Names
    aliases: Aliases = Field([])
    location: Location | None = None
    confirm_within_days: ConfirmWithinDays = DEFAULT_CONFIRM_WITHIN_DAYS
    confirm_within_hours: ConfirmWithinHours | None = None
    hours: HoursList = Field([])
    max_weight_kg: MaxWeight = None
    max_height_m: MaxHeight = None
    contacts: Contacts = Field([])
    citations: Citations

    @field_validator("traffic")
    @classmethod
    def _traffic_is_of_its_mode(cls, value: list[Traffic], info: ValidationInfo) -> list[Traffic]:
        mode = info.data.get("mode")
        if mode is not None:
            with as_fault("traffic_of_mode"):
                check_traffic(mode, value)
        return value

    @field_validator("location")
    @classmethod
    def _location_is_around_its_sides(
        cls, value: Location | None, info: ValidationInfo
    ) -> Location | None:
        sides = info.data.get("sides")
        if value is not None and sides is not None:
            with as_fault("geography"):
                check_location(sides, value)
        return value

    @field_validator("names")
    @classmethod
    def _names_are_of_its_sides(cls, value: list[Name], info: ValidationInfo) -> list[Name]:
        sides = info.data.get("sides")
        if sides is not None and any(name.side not in sides for name in value):
            raise PydanticCustomError("names", NAMES_OF_SIDES)
        return value

    @field_validator("hours")
    @classmethod
    def _hours_are_of_its_lanes(
        cls, value: list[HoursOfSide], info: ValidationInfo
    ) -> list[HoursOfSide]:
        sides, traffic = info.data.get("sides"), info.data.get("traffic")
        if sides is not None and traffic is not None:
            with as_fault("hours"):
                check_hours(sides, traffic, value)
        return value

    @field_validator("contacts")
    @classmethod
    def _contacts_are_of_its_sides(
        cls, value: list[Contact], info: ValidationInfo
    ) -> list[Contact]:
        sides = info.data.get("sides")
        if sides is not None:
            with as_fault("contacts"):
                check_contacts(sides, value)
        return value


class CrossingPatch(Body):
    """New details of a crossing: what is left out stays as it is."""

    model_config = example({"aliases": ["Schumsk", "Shumskas"], "citations": [CITATION_EXAMPLE]})

    mode: Mode | None = None
    traffic: TrafficList | None = None
    names: Names | None = None
    aliases: Aliases | None = None
    location: Location | None = Field(None, description="Null removes the location.")
    confirm_within_days: ConfirmWithinDays | None = None
    confirm_within_hours: ConfirmWithinHours | None = None
    hours: HoursList | None = None
    max_weight_kg: MaxWeight = None
    max_height_m: MaxHeight = None
    contacts: Contacts | None = None
    retired_at: Instant | None = Field(
        None, description="Not in the future. Null brings a retired crossing back."
    )
    replaced_by: CrossingId | None = Field(
        None, description="The crossing in use that takes a retired one's place."
    )
    citations: Citations

    @field_validator(
        "mode", "traffic", "names", "aliases", "confirm_within_days", "hours", "contacts"
    )
    @classmethod
    def _means_something(cls, value: object) -> object:
        """Null has no meaning for these."""
        if value is None:
            raise PydanticCustomError("null", "cannot be null: leave it out to keep it")
        return value


def _read_by(parse: Callable[[str], object]) -> AfterValidator:
    def check(value: str) -> str:
        with as_fault("geography"):
            parse(value)
        return value

    return AfterValidator(check)


Near = Annotated[str, Field(max_length=60), _read_by(Point.parse)]
Bbox = Annotated[str, Field(max_length=120), _read_by(Box.parse)]


def _has_letters(value: str) -> str:
    if not fold(value):
        raise PydanticCustomError("spelling", "must contain a letter or a digit")
    return value


SearchText = Annotated[Line, AfterValidator(_has_letters), Field(max_length=100)]


class CrossingRecord(Body, title="CrossingRecord"):
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
    confirm_within_hours: int | None
    retired_at: datetime | None = Field(
        description="Since when it is retired: lists leave it out from then on."
    )
    replaced_by: CrossingId | None
    hours: list[HoursOfSide] = Field(
        description="When no hours cover a lane on a side, they are unknown: that side may be"
        " closed at night or on some days."
    )
    max_weight_kg: int | None
    max_height_m: float | None
    contacts: list[Contact]
    citations: list[CitationOut]
    version: int = Field(description="The number of the change that recorded these details.")

    @property
    def hours_zones(self) -> list[ZoneInfo]:
        """The zones of the clocks that its hours follow, each once."""
        return [ZoneInfo(zone) for zone in dict.fromkeys(entry.time_zone for entry in self.hours)]

    @property
    def near(self) -> Point | None:
        """Where its sides' zones are to be found: by its location, else by those of its hours."""
        if self.location is not None:
            return Point(self.location.lat, self.location.lon)
        return next(filter(None, (chief_place(entry.time_zone) for entry in self.hours)), None)

    @property
    def clocks(self) -> Clocks:
        """The clocks of both sides, in the order of their names."""
        return Clocks(list(dict.fromkeys(name.side for name in self.names)), self.near)

    def lanes_without_hours(self, side: str) -> list[Lane]:
        """Return the lanes for which the hours of a side are not known."""
        hours = [entry for entry in self.hours if entry.side == side]
        return [
            Lane(traffic, to)
            for traffic in self.traffic
            for to in self.sides
            if not any(entry.covers(traffic, to) for entry in hours)
        ]
