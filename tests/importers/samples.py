"""Payloads as the agencies publish them, small and made up, with the fields of real ones."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from pydantic import JsonValue

from app.importers.findings import Finding, Reading, Refusal, UnknownPlace
from app.importers.importer import importers
from tests.api import Json

PEACE_BRIDGE, NOGALES, YSLETA = "090101", "260401", "240203"
SUMMER = datetime(2022, 6, 29, 17, 25, 16, tzinfo=UTC)
"""The poll: 13:25:16 in New York, 10:25:16 in Phoenix, 11:25:16 in El Paso."""
WINTER = datetime(2022, 1, 12, 18, 25, 16, tzinfo=UTC)

NONE: Json = {
    "update_time": "",
    "operational_status": "N/A",
    "delay_minutes": "",
    "lanes_open": "",
}
CLOSED = {**NONE, "operational_status": "Lanes Closed"}
PENDING = {**NONE, "operational_status": "Update Pending"}


def lanes(minutes: str = "25", update_time: str = "At 1:00 pm EDT", **fields: JsonValue) -> Json:
    """Return lanes of CBP with a delay."""
    return {
        "update_time": update_time,
        "operational_status": "delay",
        "delay_minutes": minutes,
        "lanes_open": "3",
        **fields,
    }


def port(
    number: str = PEACE_BRIDGE,
    *,
    at: datetime = SUMMER,
    zone: str = "America/New_York",
    car: Json = NONE,
    nexus: Json = NONE,
    ready: Json = NONE,
    truck: Json = NONE,
    fast: Json = NONE,
    pedestrian: Json = NONE,
    car_automation: str = "Manual",
    **fields: JsonValue,
) -> Json:
    """Return a port of CBP, polled at an instant by the clocks of a zone."""
    local = at.astimezone(ZoneInfo(zone))
    return {
        "port_number": number,
        "border": "Canadian Border",
        "port_name": "Somewhere",
        "crossing_name": "Bridge",
        "hours": "24 hrs/day",
        "date": f"{local.month}/{local.day}/{local.year}",
        "time": f"{local:%H:%M:%S}",
        "port_status": "Open",
        "commercial_vehicle_lanes": {
            "maximum_lanes": "5",
            "cv_automation_type": "Manual",
            "cv_segment_from": "",
            "standard_lanes": truck,
            "FAST_lanes": fast,
        },
        "passenger_vehicle_lanes": {
            "maximum_lanes": "8",
            "pv_automation_type": car_automation,
            "standard_lanes": car,
            "NEXUS_SENTRI_lanes": nexus,
            "ready_lanes": ready,
        },
        "pedestrian_lanes": {
            "maximum_lanes": "N/A",
            "ped_automation_type": "Manual",
            "standard_lanes": pedestrian,
            "ready_lanes": NONE,
        },
        "construction_notice": "",
        "automation": "0",
        "automation_enabled": "0",
        **fields,
    }


def cbp(*ports: JsonValue) -> bytes:
    return json.dumps(list(ports)).encode()


def clock(at: datetime, zone: str = "America/New_York") -> str:
    """Write an instant as CBP does."""
    local = at.astimezone(ZoneInfo(zone))
    return f"At {local.hour % 12 or 12}:{local:%M} {local:%p} {local.tzname()}".replace(
        "AM", "am"
    ).replace("PM", "pm")


def office(
    name: str = "Peace Bridge",
    commercial: str = "27 minutes",
    travellers: str = "1 hour 1 minute",
    instant: str = "2022-07-07T20:10-0400",
    updated: str = "2022-07-07 20:10 EDT",
) -> str:
    """Return a row of CBSA's table."""
    return f"""<tr>
      <th><b>{name}</b><br />Somewhere, ON/Elsewhere, NY<br /></th>
      <td>{commercial}</td><td>{travellers}</td>
      <td><time datetime="{instant}">{updated}</time></td>
    </tr>"""


def cbsa(*rows: str) -> bytes:
    return f"""<!DOCTYPE html>
    <html><body><main><!-- bwt-table-start -->
    <table><tr><td>Another table</td></tr></table>
    <table class="table"><thead><tr class="bg-primary">
      <th>CBSA Office</th><th>Commercial Flow</th><th>Travellers Flow</th><th>Updated</th>
    </tr></thead><tbody>{"".join(rows)}</tbody></table>
    </main></body></html>""".encode()


def queue(
    number: int = 8,
    title: str = "Шегині – Медика (для вантажівок ≥ 7,5 тонн)",
    **fields: JsonValue,
) -> Json:
    """Return a queue of eCherha."""
    return {
        "id": number,
        "title": title,
        "tooltip": None,
        "country_id": 133,
        "for_vehicle_type": 1,
        "queue_flow": 1,
        "is_paused": False,
        "cancel_after": 110,
        "lng": 22.95,
        "lat": 49.8,
        "wait_time": 7200,
        "vehicle_in_active_queues_counts": 30,
        **fields,
    }


def echerha(*queues: JsonValue) -> bytes:
    return json.dumps({"data": list(queues), "filters": {"countries": []}}).encode()


def parse(name: str, payload: bytes) -> list[Finding]:
    """Return what an importer finds in a payload."""
    importer = importers()[name]
    return list(importer.parse(payload, importer.places))


def readings(name: str, payload: bytes) -> list[Reading]:
    return [one for one in parse(name, payload) if isinstance(one, Reading)]


def refusals(name: str, payload: bytes) -> Mapping[str, str]:
    """Return why values are refused, by which values those are."""
    return {one.what: one.reason for one in parse(name, payload) if isinstance(one, Refusal)}


def unknown(name: str, payload: bytes) -> list[str]:
    return [one.key for one in parse(name, payload) if isinstance(one, UnknownPlace)]


def told(reading: Reading) -> Json:
    """Return what a reading says, without what it leaves open."""
    body: Json = reading.observation.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return body
