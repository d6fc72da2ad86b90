"""US Customs and Border Protection: the waits of those who enter the United States, port by port.

* Passenger lanes are of cars, commercial lanes of trucks. Nothing is said of buses.
* The wait of the standard lanes is told as that of the lane. NEXUS, SENTRI and FAST are queues of
  those who go first. Ready lanes, for holders of certain documents, have no equivalent here.
* Instants are times of day with a zone, and no date: the last such time before the poll is meant.
  What lies more than ``LONGEST_AGO`` before it could as well lie after it, and is refused.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from pydantic import Field, JsonValue, ValidationError

from app.importers.findings import (
    BrokenPayload,
    FeedModel,
    Finding,
    Reading,
    Refusal,
    UnknownPlace,
    decode_json,
    decode_rows,
    parse_rows,
    quoted,
    read,
)
from app.importers.importer import Importer
from app.importers.places import Place, Places
from app.sources.schemas import SourceIn
from app.validation import faults_of
from app.vocabulary import ObservationMethod, SourceKind, Traffic

LONGEST_AGO = timedelta(hours=12)

_TIME = re.compile(r"At (?:(Noon)|(Midnight)|(\d{1,2}):(\d\d) ([ap])m) ([A-Z]{2,4})", re.ASCII)
_MINUTES = re.compile(r"\d{1,4}", re.ASCII)
_GROUPS = (
    (Traffic.CAR, "passenger_vehicle_lanes", "pv_automation_type"),
    (Traffic.TRUCK, "commercial_vehicle_lanes", "cv_automation_type"),
    (Traffic.PEDESTRIAN, "pedestrian_lanes", "ped_automation_type"),
)
_STANDARD, _READY = "standard_lanes", "ready_lanes"
_QUEUES: Mapping[str, Mapping[str, bool] | None] = {
    _STANDARD: None,
    "FAST_lanes": {"priority": True},
    "NEXUS_SENTRI_lanes": {"priority": True},
}
_DEVICES = {"Bluetooth", "RFID"}


class _Port(FeedModel):
    port_number: str
    date: str
    time: str
    port_status: str
    automation_enabled: str
    passenger_vehicle_lanes: dict[str, JsonValue]
    commercial_vehicle_lanes: dict[str, JsonValue]
    pedestrian_lanes: dict[str, JsonValue]
    port_name: str = ""
    crossing_name: str = ""

    @property
    def label(self) -> str:
        return ", ".join(filter(None, [self.port_name, self.crossing_name]))


class _Lanes(FeedModel):
    status: str = Field(alias="operational_status")
    update_time: str
    delay_minutes: str
    lanes_open: str


@dataclass(frozen=True, slots=True)
class _Group:
    """The lanes of a port for one traffic."""

    place: Place
    traffic: Traffic
    method: ObservationMethod
    polled_at: datetime
    lanes: Mapping[str, _Lanes]
    """The lanes by their kind, without those that do not exist."""

    @property
    def is_closed(self) -> bool:
        return all(lanes.status == "Lanes Closed" for lanes in self.lanes.values())


def parse(payload: bytes, places: Places) -> Iterator[Finding]:
    """Read a poll of all ports."""
    rows = decode_rows(decode_json(payload), "ports")
    ports: list[tuple[_Port, Place]] = []
    for row in parse_rows(rows, _Port, key="port_number"):
        if isinstance(row, Refusal):
            yield row
            continue
        place = places.find(row.port_number)
        if isinstance(place, Place):
            ports.append((row, place))
        else:
            reason = None if place is None else place.reason
            yield UnknownPlace(quoted(row.port_number), quoted(row.label), reason)
    if not ports:
        return
    polled_at = _polled_at(ports)
    for port, place in ports:
        if port.port_status != "Open":
            yield Refusal(
                place.label,
                "port status",
                "says something of the status, which this feed may not",
                quoted(port.port_status),
            )
        for traffic, group, automation in _GROUPS:
            lanes: dict[str, JsonValue] = getattr(port, group)
            yield from _group(place, traffic, lanes, port, lanes.get(automation), polled_at)


def _polled_at(ports: Sequence[tuple[_Port, Place]]) -> datetime:
    """Return the instant of the poll, in the zones of most ports: a few use that of a neighbour."""
    instants: Counter[datetime] = Counter()
    for port, place in ports:
        try:
            local = datetime.strptime(f"{port.date} {port.time}", "%m/%d/%Y %H:%M:%S")  # noqa: DTZ007 -- the zone follows
        except ValueError:
            continue
        instants[local.replace(tzinfo=place.time_zone).astimezone(UTC)] += 1
    if not instants:
        raise BrokenPayload("does not say when the poll was")
    minutes: Counter[datetime] = Counter()
    for at, count in instants.items():
        minutes[at.replace(second=0)] += count
    [(minute, count)] = minutes.most_common(1)
    if 2 * count <= len(ports):
        raise BrokenPayload("has ports that do not agree on when the poll was")
    return max(at for at in instants if at.replace(second=0) == minute)


def _group(
    place: Place,
    traffic: Traffic,
    values: Mapping[str, JsonValue],
    port: _Port,
    automation: JsonValue,
    polled_at: datetime,
) -> Iterator[Finding]:
    lanes: dict[str, _Lanes] = {}
    for kind, value in values.items():
        if not isinstance(value, dict):
            continue  # a detail of the group
        what = _what(traffic, kind)
        if kind not in _QUEUES and kind != _READY:
            yield Refusal(place.label, what, "is a kind of lane that is not known", is_damage=True)
            continue
        try:
            entry = _Lanes.model_validate(value)
        except ValidationError as error:
            yield Refusal(place.label, what, faults_of(error), is_damage=True)
            continue
        if entry.status != "N/A":
            lanes[kind] = entry
    if automation == "Manual" or (automation in _DEVICES and port.automation_enabled != "1"):
        method = ObservationMethod.OFFICIAL
    elif automation in _DEVICES:
        method = ObservationMethod.SENSOR
    else:
        for kind in lanes:
            yield Refusal(
                place.label,
                _what(traffic, kind),
                "is measured by a method that is not known",
                quoted(automation),
                is_damage=True,
            )
        return
    group = _Group(place, traffic, method, polled_at, lanes)
    for kind in lanes:
        yield _lane(group, kind)


def _lane(group: _Group, kind: str) -> Finding:
    lanes, what = group.lanes[kind], _what(group.traffic, kind)

    def refused(reason: str, *, is_damage: bool = False) -> Refusal:
        return Refusal(group.place.label, what, reason, _lanes_text(lanes), is_damage=is_damage)

    if kind == _READY:
        return refused("is of lanes for holders of certain documents")
    queue = _QUEUES[kind]
    match lanes.status:
        case "no delay" | "delay":
            return _delay(group, lanes, what, queue)
        case "Update Pending":
            return refused("has no value yet")
        case "Lanes Closed" if kind == _STANDARD and not group.is_closed:
            return refused("holds for the standard lanes alone")
        case "Lanes Closed":
            return read(
                group.place,
                what,
                traffic=group.traffic,
                queue=queue,
                wait={"state": "closed"},
                lanes_open=0,
                observed_at=group.polled_at,
                method=group.method,
            )
        case _:
            return refused("is a status of lanes that is not known", is_damage=True)


def _delay(
    group: _Group, lanes: _Lanes, what: str, queue: Mapping[str, bool] | None
) -> Reading | Refusal:
    minutes = lanes.delay_minutes
    minutes = "0" if (lanes.status, minutes) == ("no delay", "") else minutes
    if not _MINUTES.fullmatch(minutes):
        reason = "does not have a number of minutes"
        return Refusal(group.place.label, what, reason, _lanes_text(lanes), is_damage=True)
    if lanes.status == "delay" and int(minutes) == 0:
        return Refusal(group.place.label, what, "is a delay of no minutes", _lanes_text(lanes))
    observed_at = _instant(lanes.update_time, group.place.time_zone, group.polled_at)
    if isinstance(observed_at, str):
        return Refusal(group.place.label, what, observed_at, quoted(lanes.update_time))
    return read(
        group.place,
        what,
        traffic=group.traffic,
        queue=queue,
        wait={"state": "known", "minutes": int(minutes)},
        lanes_open=int(lanes.lanes_open) if _MINUTES.fullmatch(lanes.lanes_open) else None,
        observed_at=observed_at,
        method=group.method,
    )


def _instant(text: str, zone: ZoneInfo, polled_at: datetime) -> datetime | str:
    """Return the instant of a time of day, or why it cannot be determined."""
    match = _TIME.fullmatch(text)
    if match is None:
        return "is not a time with its zone"
    noon, midnight, hour, minute, half, abbreviation = match.groups()
    if noon or midnight:
        at = time(12 if noon else 0)
    elif not (1 <= int(hour) <= 12 and int(minute) < 60):  # noqa: PLR2004 -- of a clock
        return "is not a time with its zone"
    else:
        at = time(int(hour) % 12 + (12 if half == "p" else 0), int(minute))
    today = polled_at.astimezone(zone).date()
    of_the_zone: list[datetime] = []
    for day in (today, today - timedelta(days=1)):
        for fold in (0, 1):
            local = datetime.combine(day, at, zone).replace(fold=fold)
            if local.tzname() == abbreviation:
                of_the_zone.append(local.astimezone(UTC))
    if not of_the_zone:
        return f"has a zone that no clock in {zone.key} shows on that day"
    before = [instant for instant in of_the_zone if polled_at - LONGEST_AGO <= instant <= polled_at]
    if not before:
        return "may be of yesterday or of the future: there is no date"
    return max(before)


def _lanes_text(lanes: _Lanes) -> str:
    return quoted(", ".join(filter(None, [lanes.status, lanes.delay_minutes])))


def _what(traffic: Traffic, kind: str) -> str:
    return f"{traffic.value}, {kind.replace('_', ' ')}"


IMPORTER = Importer(
    module=__name__,
    source=SourceIn(
        kind=SourceKind.DATASET,
        title="Border wait times",
        publisher="US Customs and Border Protection",
        url="https://bwt.cbp.gov/api/bwtnew",
        language="en",
    ),
    address="https://bwt.cbp.gov/api/bwtnew",
    interval=timedelta(minutes=10),
    parse=parse,
)
