"""Two workers, random writes, a moving clock: each board is what the whole log says."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from uuid import UUID

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from app.board.board import Board
from app.board.views import Moment
from app.changes.service import Snapshot, reserve_slot
from app.embedded.server import Server
from app.status.confirming import ObservedLane, newest_confirming, record_confirming
from app.status.histories import CrossingHistory, load_histories
from app.status.rule.cut import has_gap
from app.status.rule.history import Lane
from app.vocabulary import Traffic
from tests.api import Json, citation, crossing, decision
from tests.board.conftest import Sides, sides_of
from tests.conftest import EMPTY, Database, clone
from tests.marks import full
from tests.observations.observing import OBSERVATIONS, ago, batch
from tests.observations.observing import row as observed
from tests.waiting import PATIENCE, until

_numbers = count(1)
TRAFFIC = ["car", "truck"]
NIGHTLY = {
    "side": "LT",
    "traffic": ["car"],
    "time_zone": "Europe/Vilnius",
    "opening_hours": "06:00-22:00",
}
WEEKDAYS = {
    "side": "BY",
    "to": "BY",
    "time_zone": "Europe/Minsk",
    "opening_hours": "Mo-Fr 20:00-04:00; PH off",
}
DAYS = st.integers(-800, 90).map(lambda days: timedelta(days=days, hours=days % 7))
SCOPE = st.fixed_dictionaries(
    {
        "sides": st.sampled_from([["LT"], ["BY"], ["BY", "LT"]]),
        "traffic": st.sampled_from([None, None, ["car"], ["truck"]]),
        "to": st.sampled_from([None, None, "LT", "BY"]),
    }
)


class Workers(RuleBasedStateMachine):
    """Writers use either worker; readers of both see the same, and what the log says."""

    portal: BlockingPortal
    workers: tuple[Sides, Sides]
    database: Database

    def __init__(self) -> None:
        super().__init__()
        self.here: list[str] = []
        self.standing: dict[str, str] = {}
        self.change = 0
        self.confirmed: dict[Lane, datetime] = {}

    @initialize(days=st.integers(1, 60))
    def add_crossings(self, days: int) -> None:
        for hours in ([], [NIGHTLY, WEEKDAYS]):
            name = f"crossing-{next(_numbers)}"
            body = crossing(name, traffic=TRAFFIC, confirm_within_days=days, hours=hours)
            self._write(0, "/v1/crossings", body)
            self.here.append(name)

    @rule(
        worker=st.sampled_from([0, 1]),
        both=st.booleans(),
        status=st.sampled_from(["open", "restricted", "closed"]),
        start=DAYS,
        length=st.none() | st.integers(1, 300).map(lambda hours: timedelta(hours=hours)),
        is_announced=st.booleans(),
        certainty=st.sampled_from(["confirmed", "confirmed", "reported", "unconfirmed"]),
        scope=SCOPE,
    )
    def declare(
        self,
        *,
        worker: int,
        both: bool,
        status: str,
        start: timedelta,
        length: timedelta | None,
        is_announced: bool,
        certainty: str,
        scope: dict[str, object],
    ) -> None:
        begins = datetime.now(UTC) + start
        ends = None if length is None else (begins + length).isoformat()
        body = decision(
            crossings=self.here if both else self.here[:1],
            status=status,
            effective={"from": begins.isoformat(), "until": None if is_announced else ends},
            expected_until=ends if is_announced else None,
            certainty=certainty,
            **scope,
        )
        for event in self._write(worker, "/v1/events", body)["events"]:  # type: ignore[union-attr]
            assert isinstance(event, dict)
            self.standing[str(event["id"])] = str(event["crossing"])

    @rule(worker=st.sampled_from([0, 1]), ago=st.integers(0, 700), scope=SCOPE)
    def confirm(self, *, worker: int, ago: int, scope: dict[str, object]) -> None:
        checked = datetime.now(UTC) - timedelta(days=ago, seconds=5)
        body = {"confirmed_at": checked.isoformat(), "citations": [citation()], **scope}
        self._write(worker, f"/v1/crossings/{self.here[0]}/confirmations", body)

    @rule(worker=st.sampled_from([0, 1]), which=st.integers(0, 99), start=DAYS)
    def correct(self, *, worker: int, which: int, start: timedelta) -> None:
        if not self.standing:
            return
        event, where = sorted(self.standing.items())[which % len(self.standing)]
        begins = datetime.now(UTC) + start
        body = decision(
            crossings=[where], supersedes=[event], effective={"from": begins.isoformat()}
        )
        del self.standing[event]
        self._write(worker, "/v1/events", body)

    @rule(worker=st.sampled_from([0, 1]), which=st.integers(0, 99))
    def retract(self, *, worker: int, which: int) -> None:
        if not self.standing:
            return
        event = sorted(self.standing)[which % len(self.standing)]
        del self.standing[event]
        body: dict[str, object] = {"reason": {"code": "other", "text": "A mistake"}}
        self._write(worker, f"/v1/events/{event}/retraction", body)

    @rule(
        worker=st.sampled_from([0, 1]),
        minutes_ago=st.integers(0, 200),
        traffic=st.sampled_from(TRAFFIC),
        to=st.sampled_from(["LT", "BY"]),
        queue=st.sampled_from([None, {"empty": True}]),
        source=st.sampled_from(["One", "Another"]),
        both=st.booleans(),
    )
    def observe(
        self,
        *,
        worker: int,
        minutes_ago: int,
        traffic: str,
        to: str,
        queue: dict[str, object] | None,
        source: str,
        both: bool,
    ) -> None:
        rows = [
            observed(
                name, traffic=traffic, to=to, queue=queue, observed_at=ago(minutes=minutes_ago)
            )
            for name in (self.here if both else self.here[:1])
        ]
        self.portal.call(self._observe, worker, batch(*rows, source={"title": source}))

    async def _observe(self, worker: int, body: dict[str, object]) -> UUID:
        answer = await self.workers[worker].front.post(OBSERVATIONS, body)
        assert answer.status_code == 201, answer.text
        self.change = answer.json()["change"] or self.change
        observed_until = datetime.fromisoformat(answer.headers["waits-as-of"])
        for one in self.workers:
            assert await one.board.observed(observed_until, within=PATIENCE)
        return UUID(answer.json()["source"])

    @rule(
        minutes_ago=st.integers(0, 3 * 24 * 60),
        traffic=st.sampled_from(TRAFFIC),
        to=st.sampled_from(["LT", "BY"]),
    )
    def confirm_by_observation(self, *, minutes_ago: int, traffic: str, to: str) -> None:
        lane = Lane(Traffic(traffic), to)
        at = datetime.fromisoformat(ago(minutes=minutes_ago))
        if at > self.confirmed.get(lane, at - timedelta(1)):
            self.portal.call(self._confirm, ObservedLane(self.here[0], lane, at))

    async def _confirm(self, seen: ObservedLane) -> None:
        """Keep an observation, as an importer does: where it alters nothing up to now."""
        lane = seen.lane
        instant = seen.observed_at.isoformat()
        row = observed(seen.crossing, traffic=lane.traffic, to=lane.to, observed_at=instant)
        source = await self._observe(0, batch(row, source={"title": "A feed"}))
        async with self.database.session() as session:
            slot = await reserve_slot(session)

            def is_free(history: CrossingHistory) -> bool:
                return not has_gap(history.resolved, lane, lane.to, slot.recorded_at)

            snapshot = Snapshot(slot.number - 1, slot.recorded_at)
            free = await load_histories(session, [seen.crossing], snapshot, is_free)
            if not free[seen.crossing]:
                return
            await record_confirming(session, slot, source=source, lanes=[seen])
            newest = await newest_confirming(session)
        self.confirmed[lane] = seen.observed_at
        for one in self.workers:
            await until(partial(_is_confirmed, one.board, newest))

    @rule(days=st.integers(1, 90))
    def be_patient(self, days: int) -> None:
        path = f"/v1/crossings/{self.here[1]}"
        body = {"confirm_within_days": days, "citations": [citation()]}
        answer = self.portal.call(self.workers[0].front.patch, path, body)
        assert answer.status_code == 200
        self.change = int(answer.headers["change-number"])

    @rule(worker=st.sampled_from([0, 1]), ahead=st.integers(0, 300) | st.integers(0, 200_000))
    def look_ahead(self, *, worker: int, ahead: int) -> None:
        """Let the clock of a worker's board move on: it is what the log says for that instant."""
        at = datetime.now(UTC) + timedelta(minutes=ahead)
        for name in self.here:
            self.portal.call(self._compare_at, self.workers[worker], name, at)

    @invariant()
    def both_boards_are_what_the_routes_say(self) -> None:
        for worker in self.workers if self.here else ():
            self.portal.call(self._compare_now, worker)

    async def _compare_now(self, worker: Sides) -> None:
        demanded = {"At-Least-Change": str(self.change)}
        for name in self.here:
            for address in (f"/v1/crossings/{name}", f"/v1/crossings/{name}/status?to=LT"):
                by_board = await worker.front.client.get(address, headers=demanded)
                by_routes = await worker.routes.get(address)
                assert by_board.content == by_routes.content
                assert by_board.headers["etag"] == by_routes.headers["etag"]
                assert by_board.headers["last-modified"] == by_routes.headers["last-modified"]

    async def _compare_at(self, worker: Sides, name: str, at: datetime) -> None:
        assert await worker.board.reached(self.change, within=PATIENCE)
        entry = worker.board.entry(name)
        assert entry is not None
        view = entry.view(Moment(at))
        assert view is not None
        asked = await worker.routes.get(
            f"/v1/crossings/{name}/status", params={"at": at.isoformat()}
        )
        told = f'"at":"{asked.json()["at"]}"'
        assert view.status_json.decode() == asked.text.replace(told, '"at":null')

    def _write(self, worker: int, path: str, body: dict[str, object]) -> Json:
        answer = self.portal.call(self.workers[worker].front.post, path, body)
        assert answer.status_code == 201, answer.text
        self.change = int(answer.headers["change-number"])
        written: Json = answer.json()
        return written


def _is_confirmed(board: Board, until: datetime) -> bool:
    return board.confirmed_until >= until


@contextmanager
def two_workers(
    server: Server,
) -> Iterator[tuple[Database, BlockingPortal, tuple[Sides, Sides]]]:
    with ExitStack() as stack:
        database = stack.enter_context(clone(server, EMPTY))
        portal = stack.enter_context(start_blocking_portal("asyncio"))
        one, other = (
            stack.enter_context(portal.wrap_async_context_manager(sides_of(database)))
            for _ in range(2)
        )
        yield database, portal, (one, other)


@full
@pytest.mark.hypothesis
def test_every_board_is_what_the_log_says(postgres: Server) -> None:
    with two_workers(postgres) as (Workers.database, Workers.portal, Workers.workers):
        run_state_machine_as_test(
            Workers,
            settings=settings(
                max_examples=max(1, settings().max_examples // 12), stateful_step_count=10
            ),
        )
