"""Whoever is killed: what was acknowledged is there once, and nothing is there in half."""

import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio
import anyio.abc
import httpx2
import pytest

from app.changes.service import LOG_LOCK
from app.embedded.server import DATABASE, OWNER
from tests import clients
from tests.api import Api, decision
from tests.commands import BIN, environment
from tests.conftest import Database
from tests.faults.servers import (
    WAITING,
    Author,
    Ledger,
    all_changes,
    assert_chained,
    assert_kept,
    assert_unavailable,
    database_of,
    postmaster,
    told,
    write_on,
)
from tests.marks import full
from tests.seeds import seeded_crossings
from tests.servers import Service, free_port, is_alive, service, signal_all
from tests.waiting import eventually, until

WRITERS = 8


@dataclass
class Scene:
    """A data directory of a test's own, the port it is served at, and what was asked so far."""

    folder: Path
    port: int
    ledger: Ledger
    authors: list[Author]

    @property
    def data_dir(self) -> Path:
        return self.folder / "data"

    @property
    def key(self) -> str:
        return (self.data_dir / "admin.key").read_text(encoding="ascii").strip()

    def serve(self, *, workers: int = 1) -> AbstractContextManager[Service]:
        return service(
            self.folder / "log",
            port=self.port,
            workers=workers,
            data_dir=self.data_dir,
            worker=False,
        )

    @asynccontextmanager
    async def under_load(self, running: Service) -> AsyncIterator[Api]:
        """Give the service while writers write; the block ends when they have ended."""
        stop = anyio.Event()
        self.ledger.cut.clear()
        async with running.api(self.key) as api, anyio.create_task_group() as group:
            for author in self.authors:
                group.start_soon(partial(write_on, api, author, self.ledger, stop=stop))
            await self.more_answers()
            yield api
            stop.set()

    async def more_answers(self, number: int = 2 * WRITERS) -> None:
        """Wait until so many more writes were acknowledged."""
        wanted = len(self.ledger.answers) + number
        await until(lambda: len(self.ledger.answers) >= wanted or self.ledger.cut)

    async def more_refusals(self, number: int) -> None:
        """Wait until more requests than so many were refused."""
        await until(lambda: len(self.ledger.refused) > number)

    async def assert_whole(self, running: Service) -> int:
        """Check everything, and return how many writes were kept whose answer was lost."""
        with closing(database_of(self.data_dir).connect(OWNER, DATABASE)) as connection:
            async with running.api(self.key) as api:
                return await assert_kept(api, self.ledger, connection)

    async def assert_checked(self) -> None:
        """Let the service check itself, too."""
        check = [str(BIN / "crossings"), "check", "--data-dir", str(self.data_dir)]
        done = await anyio.run_process(check, check=False)
        assert (done.returncode, done.stderr) == (0, b"")


@pytest.fixture
def scene(seeded_dir: Path, record_property: Callable[[str, object], None]) -> Iterator[Scene]:
    authors = [Author(f"writer-{number}") for number in range(WRITERS)]
    ledger = Ledger()
    yield Scene(seeded_dir.parent, free_port(), ledger, authors)
    record_property("acknowledged", len(ledger.answers))
    shutil.rmtree(seeded_dir)


# The service


@full
@pytest.mark.parametrize("rounds", [20])
async def test_kill_9_of_the_service_loses_nothing_acknowledged(scene: Scene, rounds: int) -> None:
    """Many times on one data directory; retries of what went unanswered are done once.

    Each check repeats every write so far, so that not every round has one.
    """
    for number in range(rounds):
        with scene.serve() as running:
            if number % 5 == 1:
                await scene.assert_whole(running)
            async with scene.under_load(running):
                running.kill()
        assert scene.ledger.unanswered
    with scene.serve() as running:
        await scene.assert_whole(running)
        await scene.assert_checked()


@full
async def test_kill_9_of_a_service_with_workers_leaves_nothing_that_serves(scene: Scene) -> None:
    """Or nobody could serve at that address again, and clients would ask the dead."""
    with scene.serve(workers=2) as running:
        family = running.family()
        try:
            async with scene.under_load(running):
                running.kill()
                await until(lambda: not any(map(is_alive, family)))
        finally:
            signal_all(family, signal.SIGKILL)
    with scene.serve() as running:
        await scene.assert_whole(running)


@full
@pytest.mark.parametrize("rounds", [15])
async def test_kill_9_of_one_worker_is_made_good_by_the_others(scene: Scene, rounds: int) -> None:
    """Its requests in flight are cut off; a retry elsewhere does each of them once."""
    with scene.serve(workers=2) as running:
        for _ in range(rounds):
            await until(lambda: len(running.workers()) == 2)
            async with scene.under_load(running):
                running.workers()[0].kill()
                await scene.more_answers(4)
        async with scene.under_load(running):
            pass
        assert scene.ledger.cut == []
        await scene.assert_whole(running)


# PostgreSQL


@full
@pytest.mark.parametrize("rounds", [15])
async def test_kill_9_of_postgresql_is_outlived(scene: Scene, rounds: int) -> None:
    """Writers are told to come back, never cut off, and the service mends itself."""
    with scene.serve() as running:
        async with scene.under_load(running):
            for _ in range(rounds):
                refused = len(scene.ledger.refused)
                before = postmaster(scene.data_dir)
                before.kill()
                await scene.more_refusals(refused)
                await scene.more_answers()
        assert scene.ledger.cut == []
        assert scene.ledger.unanswered == []
        await scene.assert_whole(running)


@full
async def test_kill_9_of_both_at_once_loses_nothing_acknowledged(scene: Scene) -> None:
    """As when the machine loses its power, but for what the disk had not yet written."""
    with scene.serve() as running:
        async with scene.under_load(running):
            main = postmaster(scene.data_dir)
            main.suspend()  # so that it cannot act on the end of its parent
            running.kill()
            main.kill()
    assert scene.ledger.unanswered
    with scene.serve() as running:
        await scene.assert_whole(running)
        await scene.assert_checked()


# An orderly end


@full
@pytest.mark.parametrize("workers", [1, 2])
async def test_sigterm_under_load_answers_or_refuses_cleanly(scene: Scene, workers: int) -> None:
    """Whatever was written was also answered; then no process is left."""
    with scene.serve(workers=workers) as running:
        family = running.family()
        async with scene.under_load(running):
            running.process.terminate()
            await until(lambda: running.process.poll() is not None)
        assert running.process.returncode == 0
        eventually(lambda: not any(map(is_alive, family)))
    assert scene.ledger.cut
    with scene.serve() as running:
        assert await scene.assert_whole(running) == 0


@full
async def test_sigterm_refuses_cleanly_what_it_will_not_wait_for(
    seeded: Database, tmp_path: Path
) -> None:
    """Requests that outlast its patience get a problem or no answer, and leave nothing."""
    answers: list[httpx2.Response] = []

    async def write(api: Api) -> None:
        with suppress(httpx2.TransportError):
            answers.append(await api.post("/v1/events", decision()))

    with (
        service(
            tmp_path / "log", database_url=seeded.url, drain_seconds=1, worker=False
        ) as running,
        seeded.connect() as stalled,
    ):
        async with running.api(await seeded.new_key()) as api:
            before = await all_changes(api)
            stalled.execute("SELECT pg_advisory_lock(%s)", [LOG_LOCK])
            async with anyio.create_task_group() as group:
                for _ in range(3):
                    group.start_soon(write, api)
                await until(lambda: stalled.execute(WAITING).fetchone() == (3,))
                running.process.terminate()
                await until(lambda: running.process.poll() is not None)
        assert running.process.returncode == 0
    for answer in answers:
        assert_unavailable(answer)
    async with seeded.api() as api:
        assert await all_changes(api) == before


@full
async def test_a_start_after_kill_9_in_the_midst_of_the_first_start_succeeds(
    tmp_path: Path,
) -> None:
    """Wherever it was cut off: schema, seeds and key are there in the end, each once."""
    data_dir = tmp_path / "data"
    for markers in (["postgres/postmaster.pid"], ["admin.draft", "admin.key"]):
        start_and_kill(data_dir, [data_dir / marker for marker in markers])
    with service(tmp_path / "log", data_dir=data_dir, worker=False) as running:
        key = (data_dir / "admin.key").read_text(encoding="ascii").strip()
        async with running.api(key) as api:
            await api.declare()
            found = (await api.get("/v1/crossings")).json()["items"]
            assert len(found) == len(seeded_crossings())
            assert_chained(await all_changes(api))
    shutil.rmtree(data_dir)


def start_and_kill(data_dir: Path, moment: list[Path]) -> None:
    """Serve a directory until one of some files appears."""
    with data_dir.with_suffix(".log").open("ab") as log:
        process = subprocess.Popen(
            [BIN / "crossings", "serve", "--port", str(free_port()), "--data-dir", data_dir],
            env=environment(),
            stdout=log,
            stderr=log,
        )
    try:
        eventually(lambda: any(path.exists() for path in moment))
    finally:
        process.kill()
        process.wait()


# A lost answer


@full
async def test_an_answer_lost_on_its_way_is_had_by_a_retry(
    seeded: Database, tmp_path: Path
) -> None:
    """The connection ends after the commit: the same key gets the first answer, one event."""
    with service(tmp_path / "log", database_url=seeded.url, worker=False) as running:
        async with running.api(await seeded.new_key()) as direct:
            before = await all_changes(direct)
            async with (
                losing_answers(running.port) as port,
                clients.async_client(base_url=f"http://127.0.0.1:{port}") as client,
            ):
                with pytest.raises(httpx2.TransportError):
                    await Api(client, direct.key).post(
                        "/v1/events", decision(), idempotency_key="lost"
                    )
            after = await all_changes(direct)
            assert len(after) == len(before) + 1

            retry = await direct.post("/v1/events", decision(), idempotency_key="lost")
            assert retry.status_code == 201
            assert retry.headers["idempotent-replayed"] == "true"
            assert retry.json()["change"] == after[-1]["change"]
            again = await direct.post("/v1/events", decision(), idempotency_key="lost")
            assert told(again) == told(retry)
            assert await all_changes(direct) == after


@asynccontextmanager
async def losing_answers(port: int) -> AsyncIterator[int]:
    """Pass requests on to a port, and hang up when the answer arrives."""

    async def pass_on(client: anyio.abc.SocketStream) -> None:
        async with (
            client,
            await anyio.connect_tcp("127.0.0.1", port) as server,
            anyio.create_task_group() as group,
        ):
            group.start_soon(copy, client, server)
            await server.receive()
            group.cancel_scope.cancel()

    async def copy(source: anyio.abc.SocketStream, target: anyio.abc.SocketStream) -> None:
        async for data in source:
            await target.send(data)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, pass_on)
        address = listener.extra_attributes[anyio.abc.SocketAttribute.local_port]
        yield int(address())
        group.cancel_scope.cancel()
