"""Belarus's electronic queue: vehicles that wait to leave Belarus, checkpoint by checkpoint.

* A payload is of one checkpoint, and lists vehicles with their number plates: personal data. They
  are counted, and forgotten.
* A live queue is told as that of the lane; a priority queue is of those who go first.
* The wait is that of the vehicle called last within ``CALLED_WITHIN``: worked out from when it was
  registered and when it was called.
* Times have no zone: they are those of Minsk.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import Field, JsonValue, TypeAdapter, ValidationError

from app.importers.findings import (
    BrokenPayload,
    FeedModel,
    Finding,
    Refusal,
    UnknownPlace,
    decode_json,
    quoted,
    read,
)
from app.importers.importer import Importer
from app.importers.places import Place, Places
from app.sources.schemas import SourceIn
from app.validation import faults_of
from app.vocabulary import ObservationMethod, SourceKind, Traffic

CALLED_WITHIN = timedelta(hours=1)

_UNKNOWN_QUEUE = "truckGpk"
"""A queue that is always listed and has always been empty. Other names are not repeated."""
_ARRIVED, _CALLED, _CANCELLED = 2, 3, 9
_QUEUES: Mapping[str, tuple[Traffic, Mapping[str, bool] | None]] = {
    f"{traffic.value}{kind}": (traffic, queue)
    for traffic in (Traffic.CAR, Traffic.BUS, Traffic.TRUCK, Traffic.MOTORCYCLE)
    for kind, queue in (("LiveQueue", None), ("Priority", {"priority": True}))
}


class _Checkpoint(FeedModel):
    id: Annotated[str, Field(pattern=r"^[0-9a-f-]{36}$")]
    name: str = ""
    english_name: str = Field("", alias="nameEn")


class _Vehicle(FeedModel):
    """The fields of a vehicle that are read. Its number plate is not."""

    status: int
    registration_date: str
    changed_date: str


_vehicles: TypeAdapter[list[_Vehicle]] = TypeAdapter(list[_Vehicle])


def parse(payload: bytes, places: Places) -> Iterator[Finding]:
    """Read the queues of a checkpoint."""
    value = decode_json(payload)
    if not isinstance(value, dict):
        raise BrokenPayload("is not an object")
    try:
        checkpoint = _Checkpoint.model_validate(value.get("info"))
    except ValidationError as error:
        raise BrokenPayload("does not say of which checkpoint it is") from error
    place = places.find(checkpoint.id)
    if not isinstance(place, Place):
        name = quoted(checkpoint.english_name or checkpoint.name)
        yield UnknownPlace(quoted(checkpoint.id), name, None if place is None else place.reason)
        return
    datetime_text = value.get("datetime")
    try:
        local = datetime.strptime(str(datetime_text), "%Y-%m-%d %H:%M:%S.%f")  # noqa: DTZ007 -- the zone follows
    except ValueError as error:
        raise BrokenPayload("does not say when it was made") from error
    at = local.replace(tzinfo=place.time_zone).astimezone(UTC)
    if not _QUEUES.keys() & value.keys():
        raise BrokenPayload("has no queues")
    for name, vehicles in value.items():
        if name in _QUEUES:
            yield from _queue(place, name, vehicles, at)
        elif isinstance(vehicles, list) and vehicles:
            reason = f"is a queue that is not known, of {len(vehicles)}"
            what = name if name == _UNKNOWN_QUEUE else "another queue"
            yield Refusal(place.label, what, reason, is_damage=True)


def _queue(place: Place, name: str, value: JsonValue, at: datetime) -> Iterator[Finding]:
    traffic, queue = _QUEUES[name]
    try:
        vehicles = _vehicles.validate_python(value)
    except ValidationError as error:
        yield Refusal(place.label, name, _places_of(error), is_damage=True)
        return
    counts = Counter(vehicle.status for vehicle in vehicles)
    if unknown := sum(counts.values()) - sum(
        counts[status] for status in (_ARRIVED, _CALLED, _CANCELLED)
    ):
        reason = f"has vehicles of a status that is not known: {unknown}"
        yield Refusal(place.label, name, reason, is_damage=True)
        return
    if place.traffic is not None and traffic not in place.traffic:
        # An empty queue for vehicles that do not cross here has no meaning.
        if vehicles:
            reason = f"is a queue of what does not cross here, of {len(vehicles)}"
            yield Refusal(place.label, name, reason)
        return
    minutes = _wait(vehicles, place, at)
    if isinstance(minutes, str):
        yield Refusal(place.label, f"{name}, wait", minutes, is_damage=True)
        minutes = None
    is_derived = minutes is not None
    yield read(
        place,
        name,
        traffic=traffic,
        queue=queue,
        wait={"state": "known", "minutes": minutes} if is_derived else None,
        vehicles=counts[_ARRIVED],
        estimate=is_derived,
        observed_at=at,
        method=ObservationMethod.DERIVED if is_derived else ObservationMethod.QUEUE_SYSTEM,
    )


def _wait(vehicles: list[_Vehicle], place: Place, at: datetime) -> int | str | None:
    """Return how long the vehicle called last had waited; None if none was called recently."""
    waits: dict[datetime, timedelta] = {}
    for vehicle in vehicles:
        if vehicle.status != _CALLED:
            continue
        try:
            registered, called = (
                datetime.strptime(text, "%H:%M:%S %d.%m.%Y")
                .replace(tzinfo=place.time_zone)
                .astimezone(UTC)
                for text in (vehicle.registration_date, vehicle.changed_date)
            )
        except ValueError:
            return "has a time that is not known"
        if not registered <= called <= at:
            return "has times that contradict each other"
        if at - called <= CALLED_WITHIN:
            waits[called] = called - registered
    return round(waits[max(waits)] / timedelta(minutes=1)) if waits else None


def _places_of(error: ValidationError) -> str:
    """Return the faults of a list of vehicles, each once."""
    return "; ".join(
        dict.fromkeys(part.partition(".")[2] or part for part in faults_of(error).split("; "))
    )


IMPORTER = Importer(
    module=__name__,
    source=SourceIn(
        kind=SourceKind.DATASET,
        title="Queues at the border of Belarus",
        publisher="Electronic queue of Belarus",
        url="https://mon.declarant.by/",
        language="ru",
    ),
    address="https://belarusborder.by/info/monitoring-new?token=test&checkpointId={key}",
    interval=timedelta(minutes=10),
    parse=parse,
    has_personal_data=True,
)
