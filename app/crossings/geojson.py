"""Crossings as GeoJSON (RFC 7946), with their locations and their present statuses."""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from pydantic import Field

from app.crossings.answers import CrossingSummary, Links
from app.http.bodies import Body, BorderId, CountryCode, CrossingId
from app.observations.schemas import WaitOut
from app.places.schemas import Name
from app.vocabulary import Mode, Status, Traffic

GEOJSON = "application/geo+json"


class PointOut(Body, title="Point"):
    """A point in WGS 84 degrees: longitude first."""

    type: Literal["Point"]
    coordinates: tuple[float, float] = Field(examples=[[25.7557, 54.6063]])


class Properties(Body, title="CrossingProperties"):
    """What a list of crossings shows of one; ``precision_km`` is how far off the point may be."""

    border: BorderId
    sides: list[CountryCode]
    mode: Mode
    traffic: list[Traffic]
    names: list[Name]
    status: Status
    since: datetime | None
    last_known: Status | None
    stale: bool
    overdue: bool
    last_confirmed_at: datetime | None
    retired_at: datetime | None
    replaced_by: CrossingId | None
    waits: list[WaitOut]
    precision_km: float | None
    links: Links


class Feature(Body, title="CrossingFeature"):
    """A crossing; without a geometry where its location is unknown."""

    type: Literal["Feature"]
    id: CrossingId
    geometry: PointOut | None
    properties: Properties


class FeatureCollection(Body):
    """Crossings by id."""

    type: Literal["FeatureCollection"]
    features: list[Feature]


_COPIED_FIELDS = [name for name in Properties.model_fields if name != "precision_km"]


def feature_of(crossing: CrossingSummary) -> Feature:
    """Return a crossing as a feature."""
    properties = {name: getattr(crossing, name) for name in _COPIED_FIELDS}
    geometry = precision_km = None
    if crossing.location is not None:
        point = (crossing.location.lon, crossing.location.lat)
        geometry = PointOut(type="Point", coordinates=point)
        precision_km = crossing.location.precision_km
    return Feature(
        type="Feature",
        id=crossing.id,
        geometry=geometry,
        properties=Properties(**properties, precision_km=precision_km),
    )


def json_of(feature: Feature) -> bytes:
    return feature.model_dump_json(by_alias=True).encode()


def collection(features: Iterable[bytes]) -> bytes:
    """Return the collection of features that are already serialised."""
    return b'{"type":"FeatureCollection","features":[%b]}' % b",".join(features)
