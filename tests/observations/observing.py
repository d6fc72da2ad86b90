"""How tests observe: rows and batches that are valid, changed as a test wants."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.api import MEDININKAI, Api

Body = dict[str, Any]

OBSERVATIONS = "/v1/observations"
SOURCE: Body = {"kind": "dataset", "title": "Waiting times", "publisher": "Border Guard"}


def known(minutes: object) -> Body:
    return {"state": "known", "minutes": minutes}


def row(crossing: str = MEDININKAI, **fields: object) -> Body:
    """Return an observation of the cars into Lithuania, made now."""
    return {
        "crossing": crossing,
        "traffic": "car",
        "to": "LT",
        "wait": known(35),
        "method": "official",
        **fields,
    }


def batch(*rows: object, source: object = SOURCE) -> Body:
    return {"source": source, "observations": list(rows)}


async def record(api: Api, *rows: Body, **fields: object) -> Body:
    """Record observations and return the answer's body."""
    response = await api.post(OBSERVATIONS, batch(*rows, **fields))
    assert response.status_code == 201, response.text
    body: Body = response.json()
    return body


async def listed(api: Api, crossing: str = MEDININKAI, **parameters: str | int) -> list[Body]:
    """Return all of a crossing's observations, page by page."""
    response = await api.get(f"/v1/crossings/{crossing}/observations", **parameters)
    found: list[Body] = []
    while True:
        assert response.status_code == 200, response.text
        found += response.json()["items"]
        if response.json()["next"] is None:
            return found
        response = await api.client.get(response.json()["next"])


async def waits(api: Api, crossing: str = MEDININKAI, /, **parameters: str | int) -> list[Body]:
    """Return the waits of the status answer."""
    found: Any = await api.status(crossing, **parameters)
    told: list[Body] = found["waits"]
    return told


def ago(**units: float) -> str:
    return (datetime.now(UTC) - timedelta(**units)).isoformat()


def minutes_of(rows: list[Body]) -> list[int | None]:
    return [one["wait"].get("minutes") for one in rows]
