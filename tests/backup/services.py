"""What is compared of a service and of what was restored of it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import httpx2
from pydantic import JsonValue

from tests import clients
from tests.api import MEDININKAI, citation, decision
from tests.servers import Service, service

Json = dict[str, JsonValue]


@contextmanager
def serving(data_dir: Path, archive: Path | None = None) -> Iterator[Service]:
    """Run `crossings serve` on a data directory, without what would write by itself."""
    more = {} if archive is None else {"CROSSINGS_WAL_ARCHIVE": str(archive)}
    log = data_dir.parent / f"{data_dir.name}.log"
    with service(log, data_dir=data_dir, worker=False, more=more) as running:
        yield running


@dataclass(frozen=True)
class Answers:
    """All changes, with their hashes, and the status of every crossing."""

    changes: list[Json]
    statuses: dict[str, Json]

    @property
    def newest(self) -> int:
        return len(self.changes)


def answers_of(running: Service) -> Answers:
    changes: list[Json] = []
    path = "/v1/changes?limit=200"
    while items := (page := clients.get(running.url + path).json())["items"]:
        changes += items
        path = page["next"].removeprefix(running.url)
    listed = clients.get(f"{running.url}/v1/crossings?limit=200").json()["items"]
    return Answers(
        changes,
        {
            one["id"]: clients.get(f"{running.url}/v1/crossings/{one['id']}/status").json()
            for one in listed
        },
    )


def close(running: Service, key: str, **fields: object) -> int:
    """Declare Šumskas closed, or what ``fields`` say; return the number of the change."""
    response = _post(running.url, "/v1/events", decision(**fields), key)
    assert response.status_code == 201, response.text
    return int(response.json()["change"])


class Writer:
    """Confirms a crossing again and again until told to stop."""

    def __init__(self, running: Service, key: str) -> None:
        self._url, self._key = running.url, key
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.acknowledged: list[int] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        path = f"/v1/crossings/{MEDININKAI}/confirmations"
        body = {"sides": ["LT"], "citations": [citation()]}
        while not self._stopping.is_set():
            response = _post(self._url, path, body, self._key)
            assert response.status_code == 201, response.text
            self.acknowledged.append(response.json()["change"])


def _post(url: str, path: str, body: object, key: str) -> httpx2.Response:
    return clients.post(url + path, json=body, headers={"Authorization": f"Bearer {key}"})
