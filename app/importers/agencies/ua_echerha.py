"""eCherha, Ukraine's electronic queue: trucks that wait to leave Ukraine, queue by queue.

* A crossing has several queues: for a class of weight, for empty trucks, for groups of goods. Only
  the title of a queue says which.
* Waits are estimates of the queue itself, in seconds. Where trucks wait, zero is no estimate. A
  payload does not say when it was made.
* Coordinates are not used: some are those of another crossing.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta

from app.importers.findings import (
    BrokenPayload,
    FeedModel,
    Finding,
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
from app.vocabulary import ObservationMethod, SourceKind, Traffic

_TRUCKS = 1
_COUNTRIES: Mapping[int, str] = {112: "MD", 133: "PL", 136: "RO", 149: "SK", 167: "HU"}
_TITLE = re.compile(r"(?P<left>.+?) [–-] (?P<right>.+?)(?P<rest> \((?:для|≥|≤|<|>).*|\. .*)?")
_WEIGHT = (
    r"(?:[≥>] (?P<above>\d+(?:,\d+)?) тонн)?(?:^|(?: до )?)(?:[≤<] (?P<up_to>\d+(?:,\d+)?) тонн)?"
)
_FOR_TRUCKS = re.compile(rf" \(для (?P<empty>порожніх )?вантажівок {_WEIGHT}\)")
_FOR_GOODS = re.compile(rf"\. Товари (?P<goods>[^()]+?) \({_WEIGHT}\)")
_GOODS_GROUPS = re.compile(r"(\d+(?:-\d+)?) групи УКТЗЕД")


class _Queue(FeedModel):
    id: int
    title: str
    country_id: int
    for_vehicle_type: int
    is_paused: bool
    wait_time: int | None
    vehicle_in_active_queues_counts: int | None
    tooltip: str | None = None


def parse(payload: bytes, places: Places) -> Iterator[Finding]:
    """Read a poll of all queues."""
    value = decode_json(payload)
    if not isinstance(value, dict):
        raise BrokenPayload("is not an object")
    for row in parse_rows(decode_rows(value.get("data"), "queues"), _Queue, key="id"):
        if isinstance(row, Refusal):
            yield row
        else:
            yield from _queue(row, places)


def _queue(queue: _Queue, places: Places) -> Iterator[Finding]:
    label, title = f"queue {queue.id}", quoted(queue.title)
    match = _TITLE.fullmatch(queue.title)
    if match is None:
        yield Refusal(label, "title", "does not name two places", title, is_damage=True)
        return
    key = f"{match['left']} – {match['right']}"
    place = places.find(key)
    if not isinstance(place, Place):
        yield UnknownPlace(quoted(key), label, None if place is None else place.reason)
        return
    if queue.tooltip:
        yield Refusal(
            place.label,
            f"note of {label}",
            "may say something of the status, which this feed may not",
            quoted(queue.tooltip),
        )
    described = _described(match["rest"] or "")
    if described is None:
        yield Refusal(place.label, label, "has a title that is not known", title, is_damage=True)
    elif queue.for_vehicle_type != _TRUCKS:
        value = str(queue.for_vehicle_type)
        yield Refusal(
            place.label, label, "is of vehicles that are not known", value, is_damage=True
        )
    elif _COUNTRIES.get(queue.country_id) != place.to:
        value = str(queue.country_id)
        yield Refusal(place.label, label, f"is of a country that is not {place.to}", value)
    else:
        wait = None
        if queue.wait_time == 0 and queue.vehicle_in_active_queues_counts:
            count = queue.vehicle_in_active_queues_counts
            yield Refusal(place.label, f"{label}, wait", f"is zero although {count} wait", "0")
        elif queue.wait_time is not None:
            wait = {"state": "known", "minutes": round(queue.wait_time / 60)}
        yield read(
            place,
            label,
            traffic=Traffic.TRUCK,
            queue=described or None,
            wait=wait,
            vehicles=queue.vehicle_in_active_queues_counts,
            paused=queue.is_paused,
            estimate=True,
            method=ObservationMethod.QUEUE_SYSTEM,
        )


def _described(rest: str) -> dict[str, object] | None:
    """Return the fields of a queue from the end of its title; None if that is not known."""
    if not rest:
        return {}
    match = _FOR_TRUCKS.fullmatch(rest) or _FOR_GOODS.fullmatch(rest)
    if match is None:
        return None
    parts = match.groupdict()
    weight = {"from": _kilograms(parts["above"]), "to": _kilograms(parts["up_to"])}
    described: dict[str, object] = {}
    if any(value is not None for value in weight.values()):
        described["weight_kg"] = weight
    if parts.get("empty"):
        described["empty"] = True
    if goods := parts.get("goods"):
        groups = _GOODS_GROUPS.fullmatch(goods)
        described["goods"] = f"UKTZED groups {groups[1]}" if groups else goods
    return described or None


def _kilograms(tonnes: str | None) -> int | None:
    return None if tonnes is None else round(float(tonnes.replace(",", ".")) * 1000)


IMPORTER = Importer(
    module=__name__,
    source=SourceIn(
        kind=SourceKind.DATASET,
        title="Electronic queue for trucks at the border of Ukraine",
        publisher="eCherha",
        url="https://echerha.gov.ua/workload/1",
        language="uk",
    ),
    address="https://back.echerha.gov.ua/api/v4/workload/1",
    interval=timedelta(minutes=5),
    parse=parse,
)
