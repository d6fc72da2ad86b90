"""The command line, with real processes: what it prints, what it refuses, what it leaves behind."""

import hashlib
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import httpx2
import psutil
import pytest
import rfc8785

from app.config import PROJECT
from app.embedded.server import SUPERUSER
from tests import clients
from tests.api import SUMSKAS, crossing, decision
from tests.commands import Done, call, environment, finish, run, start
from tests.conftest import Database
from tests.marks import full, in_full
from tests.seeds import seeds
from tests.servers import free_port
from tests.waiting import PATIENCE, eventually


@dataclass(frozen=True)
class Served:
    """A `crossings serve` that answers."""

    process: subprocess.Popen[str]
    port: int
    data_dir: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def key(self) -> str:
        return (self.data_dir / "admin.key").read_text(encoding="ascii").strip()

    def family(self) -> list[psutil.Process]:
        """Return its main process and all that it started."""
        main = psutil.Process(self.process.pid)
        return [main, *main.children(recursive=True)]

    def get(self, path: str, **headers: str) -> httpx2.Response:
        return clients.get(self.url + path, headers=headers)

    def post(self, path: str, body: object, *, key: str) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {key}"}
        return clients.post(self.url + path, json=body, headers=headers)

    def run(self, *arguments: str) -> Done:
        """Do another command beside it."""
        return call(*arguments, "--data-dir", self.data_dir)


@contextmanager
def serving(
    data_dir: Path, *options: str, port: int | None = None, worker: bool = False
) -> Iterator[Served]:
    """Run `crossings serve` until the block ends, and let nothing of it survive the block."""
    port = port or free_port()
    env = environment(CROSSINGS_DELIVERY_WORKER=str(worker))
    where = ("--data-dir", data_dir, "--port", str(port))
    process = start("crossings", "serve", *where, *options, env=env)
    served = Served(process, port, data_dir)
    family = []
    try:
        eventually(lambda: answers(served))
        family = served.family()
        yield served
    finally:
        if process.poll() is None:
            process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE)
        for one in filter(is_alive, family):
            one.kill()
        with suppress(ValueError):  # its output was read already
            finish(process)


def answers(served: Served) -> bool:
    if served.process.poll() is not None:
        raise AssertionError(finish(served.process).complained)
    with suppress(httpx2.TransportError):
        return served.get("/health/ready").status_code == 200
    return False


def is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def postgres_of(data_dir: Path) -> list[psutil.Process]:
    """Return the running PostgreSQL servers of a data directory."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if str(data_dir / "postgres") in process.cmdline():
                found.append(process)
    return found


@pytest.fixture
def data_dir(seeded_dir: Path) -> Path:
    """A filled data directory of this test's own."""
    return seeded_dir


@pytest.fixture(scope="module")
def served(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that the tests share; they write, but rely on nothing that others write."""
    folder = tmp_path_factory.mktemp("served")
    with serving(Path(shutil.copytree(prepared, folder / "data"))) as found:
        yield found


# Help and usage


@full
def test_help_names_every_command() -> None:
    done = run("crossings", "--help")

    assert (done.code, done.complained) == (0, "")
    for command in ("serve", "worker", "migrate", "seed", "export", "check", "keys"):
        assert re.search(rf"\b{command}\b", done.told)


@full
def test_the_worker_answers_to_its_old_name_too() -> None:
    done = run("crossings", "courier", "--help")

    assert done.code == 0
    assert "Deliver webhooks." in done.told
    assert "courier" not in run("crossings", "--help").told


def test_the_version_is_that_of_the_project() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    done = run("crossings", "--version")

    assert (done.code, done.complained) == (0, "")
    assert done.told.strip() == f"crossings {project['version']}"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["fly"], "fly"),
        (["serve", "--fly"], "--fly"),
        (["serve", "--port", "http"], "port"),
        (["keys", "create", "x", "--scope", "events:read"], "events:read"),
        (["keys", "create", "x"], "--scope"),
        (["keys", "create", "x", "--scope", "admin", "--expires-at", "soon"], "--expires-at"),
        (["keys", "revoke"], "key_id"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(arguments: list[str], named: str) -> None:
    """And nothing is done: there is no database where this one looks."""
    nowhere = environment(DATABASE_URL="postgresql://nobody@127.0.0.1:1/nothing")

    done = call(*arguments, env=nowhere)

    assert (done.code, done.told) == (2, "")
    assert named.lower() in done.complained.lower()
    assert "Traceback" not in done.complained


@pytest.mark.parametrize(
    ("option", "value"),
    [("--port", "70000"), ("--port", "-1"), ("--workers", "-1"), ("--workers", "0")],
)
def test_a_setting_out_of_range_is_said_in_a_sentence(option: str, value: str) -> None:
    """It is not left out either, as if the default had been asked for."""
    nowhere = environment(DATABASE_URL="postgresql://nobody@127.0.0.1:1/nothing")

    done = call("serve", option, value, env=nowhere)

    assert done.code in {1, 2}
    assert option.removeprefix("--") in done.complained
    assert "Traceback" not in done.complained


@pytest.mark.parametrize("arguments", [["serve"], ["migrate"], ["check"], ["keys", "list"]])
def test_a_database_that_is_not_there_is_said_in_a_sentence(arguments: list[str]) -> None:
    nowhere = environment(DATABASE_URL="postgresql://nobody@127.0.0.1:1/nothing")

    done = call(*arguments, env=nowhere)

    assert (done.code, done.told) == (1, "")
    assert done.complained.startswith("The database cannot be reached: ")
    assert "Traceback" not in done.complained


# Serve


def test_serve_says_where_the_page_the_answers_the_docs_and_the_key_are(data_dir: Path) -> None:
    with serving(data_dir) as served:
        mode = stat.S_IMODE((data_dir / "admin.key").stat().st_mode)
        addresses = ("/", f"/v1/crossings/{SUMSKAS}/status", "/docs")
        answered = [served.get(address).status_code for address in addresses]
        served.process.terminate()
        told = finish(served.process).told

    assert told.startswith(
        f"Page     {served.url}/\n"
        f"Status   {served.url}/v1/crossings/{SUMSKAS}/status\n"
        f"Docs     {served.url}/docs\n"
        f"Key      {data_dir}/admin.key (every scope)\n"
    )
    assert "curl " in told
    assert mode == 0o600
    assert answered == [200, 200, 200]


@full
@pytest.mark.skipif(shutil.which("curl") is None, reason="the line is for curl")
def test_the_printed_curl_line_posts_a_closure(data_dir: Path) -> None:
    with serving(data_dir) as served:
        line = first_output(served, until="-d '{")
        posted = subprocess.run(
            ["bash", "-euc", line[line.index("curl ") :]],
            capture_output=True,
            text=True,
            check=False,
        )

    told = json.loads(posted.stdout)
    assert [event["status"] for event in told["events"]] == ["closed"]


def first_output(served: Served, *, until: str) -> str:
    """Return what a server printed, to the end of the line that contains ``until``."""
    assert served.process.stdout is not None
    lines: list[str] = []
    for line in served.process.stdout:
        lines.append(line)
        if until in line:
            return "".join(lines)
    raise AssertionError(lines)


def test_the_admin_key_has_every_scope(served: Served) -> None:
    assert served.post("/v1/events", decision(), key=served.key).status_code == 201
    body = crossing("made-by-admin")
    assert served.post("/v1/crossings", body, key=served.key).status_code == 201


@full
def test_the_admin_key_stays(data_dir: Path) -> None:
    with serving(data_dir) as served:
        key = served.key
    with serving(data_dir) as served:
        assert served.key == key
        assert served.post("/v1/events", decision(), key=key).status_code == 201


def test_a_second_server_on_the_same_directory_is_refused(served: Served) -> None:
    done = call("serve", "--data-dir", served.data_dir, "--port", str(free_port()))

    assert (done.code, done.told) == (1, "")
    assert done.complained == (
        f"{served.data_dir} is in use by process {served.process.pid}:"
        " stop that, or choose another directory\n"
    )
    assert answers(served)


@full
def test_a_taken_port_is_a_clear_failure_that_leaves_nothing_behind(data_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run("crossings", "serve", "--data-dir", data_dir, "--port", port)

    assert done.code != 0
    assert "address already in use" in done.complained
    assert "Traceback" not in done.complained
    assert postgres_of(data_dir) == []
    with serving(data_dir) as served:
        assert answers(served)


def test_a_taken_port_is_noticed_before_a_data_directory_is_made(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = call("serve", "--data-dir", tmp_path / "new", "--port", port)

    assert done == Done(1, "", f"Cannot listen on 127.0.0.1 port {port}: address already in use.\n")
    assert not (tmp_path / "new").exists()


@full
def test_the_first_start_says_what_it_is_doing(tmp_path: Path) -> None:
    """And a later one only where everything is."""
    data_dir = tmp_path / "new"
    with serving(data_dir) as served:
        served.process.terminate()
        first = finish(served.process).told
    with serving(data_dir) as served:
        served.process.terminate()
        later = finish(served.process).told

    assert first.startswith(
        f"Making a database in {data_dir} (first start only)\n"
        "Creating the tables\n"
        "Loading the crossings and their history\n"
        "Starting the service\n"
        "Page "
    )
    assert later.startswith("Page ")


@full
@pytest.mark.parametrize(
    ("how", "workers"),
    [
        (signal.SIGINT, 1),
        (signal.SIGTERM, 1),
        (signal.SIGTERM, 2),
        (signal.SIGINT, 2),
    ],
)
def test_a_signal_ends_everything_cleanly(
    data_dir: Path, how: signal.Signals, workers: int
) -> None:
    """SIGINT goes to the whole group, as from a terminal; SIGTERM to the main process alone."""
    with serving(data_dir, "--workers", str(workers), worker=True) as served:
        family = served.family()
        assert_whole(family, workers)

        if how is signal.SIGINT:
            os.killpg(served.process.pid, how)
        else:
            served.process.send_signal(how)
        done = finish(served.process)

        assert done.code == 0, done.complained
        assert "Traceback" not in done.complained
        assert survivors(family) == []
        assert postgres_of(data_dir) == []


@full
@pytest.mark.parametrize("workers", [1, 2])
def test_a_kill_9_of_the_main_process_leaves_no_process_behind(
    data_dir: Path, workers: int
) -> None:
    """And the directory is served again at once, on the same port, with what was written."""
    with serving(data_dir, "--workers", str(workers), worker=True) as served:
        family = served.family()
        assert_whole(family, workers)
        told = served.post("/v1/events", decision(), key=served.key)
        assert told.status_code == 201

        served.process.kill()
        served.process.wait()
        assert survivors(family) == []

    with serving(data_dir, port=served.port) as again:
        event = told.json()["events"][0]["id"]
        assert again.get(f"/v1/events/{event}").json() == told.json()["events"][0]


@full
def test_a_kill_9_during_the_start_leaves_no_process_behind(data_dir: Path) -> None:
    """Though its workers wait for a board that nobody will fill."""
    env = environment(CROSSINGS_DELIVERY_WORKER="false")
    started = start("crossings", "serve", "--data-dir", data_dir, "--workers", "2", env=env)
    main = psutil.Process(started.pid)
    try:
        eventually(lambda: len(spawned_of(main.children(recursive=True))) == len(["one", "two"]))
        family = [main, *main.children(recursive=True)]
    finally:
        started.kill()
        started.wait()
    assert survivors(family) == []
    finish(started)


def survivors(family: list[psutil.Process]) -> list[str]:
    """Wait for the ends of processes; return the commands of those that do not end."""
    deadline = time.monotonic() + PATIENCE / 2
    while (alive := list(filter(is_alive, family))) and time.monotonic() < deadline:
        time.sleep(0.02)
    return [command_of(one) for one in alive]


def assert_whole(family: list[psutil.Process], workers: int) -> None:
    """Check that the processes are PostgreSQL's, the workers and the delivery worker."""
    names = [process.name() for process in family]
    assert "postgres" in names
    assert len(spawned_of(family)) == (workers if workers > 1 else 0) + len(["worker"])


def spawned_of(family: list[psutil.Process]) -> list[psutil.Process]:
    return [one for one in family if "multiprocessing.spawn" in command_of(one)]


def command_of(process: psutil.Process) -> str:
    with suppress(psutil.NoSuchProcess):  # a zombie, too, has none any more
        return " ".join(process.cmdline())
    return ""


@full
def test_two_workers_serve_one_log(data_dir: Path) -> None:
    with serving(data_dir, "--workers", "2") as served:
        told = served.post("/v1/events", decision(), key=served.key)
        assert told.status_code == 201
        number = told.headers["Change-Number"]
        for _ in range(20):  # a new connection each time, taken by either
            answer = served.get(f"/v1/crossings/{SUMSKAS}/status", **{"At-Least-Change": number})
            assert answer.json()["change"] == told.json()["change"]


# Migrate and seed


@full
def test_commands_alone_make_and_fill_a_directory(tmp_path: Path) -> None:
    """Each runs a PostgreSQL for the time being, and leaves none behind."""
    data_dir = tmp_path / "data"
    for command in ("migrate", "seed"):
        done = call(command, "--data-dir", data_dir)
        assert (done.code, done.complained) == (0, ""), done
    assert postgres_of(data_dir) == []


def test_migrate_says_where_the_schema_is(served: Served) -> None:
    done = served.run("migrate")

    revision = served.get("/health/ready").json()["schema_revision"]
    assert done == Done(0, f"The schema is at {revision}.\n", "")


@full
def test_seed_writes_each_record_once(seeded: Database, database: Database) -> None:
    first = call("seed", env=environment(database))
    second = call("seed", env=environment(database))

    assert first == Done(0, f"{len(seeds())} seed records written.\n", "")
    assert second == Done(0, "0 seed records written.\n", "")
    with database.connect() as ours, seeded.connect() as theirs:
        count = "SELECT count(*) FROM change"
        assert ours.execute(count).fetchone() == theirs.execute(count).fetchone()


def test_seed_beside_a_server_that_has_seeded_writes_nothing(served: Served) -> None:
    assert served.run("seed") == Done(0, "0 seed records written.\n", "")


# Keys


def test_a_new_key_is_alone_on_the_output_and_works_for_its_scope_and_side(
    served: Served,
) -> None:
    done = served.run("keys", "create", "border guard", "--scope", "events:write", "--side", "LT")

    assert (done.code, done.complained) == (0, "")
    assert re.fullmatch(r"cxs_[0-9A-Za-z]{8}_[0-9A-Za-z]{49}\n", done.told)
    key = done.told.strip()
    ours = served.post("/v1/events", decision(), key=key)
    assert ours.status_code == 201
    assert ours.json()["events"][0]["recorded_by"] == "border guard"
    theirs = served.post("/v1/events", decision(sides=["BY"]), key=key)
    assert theirs.status_code == 403
    assert served.post("/v1/crossings", crossing(), key=key).status_code == 403


def test_a_key_may_have_several_scopes_and_sides(served: Served) -> None:
    scopes = ["--scope", "events:write", "--scope", "admin", "--side", "LT", "--side", "BY"]
    key = served.run("keys", "create", "several", *scopes).told.strip()

    body = crossing("made-by-several")
    assert served.post("/v1/crossings", body, key=key).status_code == 201
    both = decision(crossings=["made-by-several"], sides=["BY", "LT"])
    assert served.post("/v1/events", both, key=key).status_code == 201


def test_keys_are_listed_and_end_when_revoked(served: Served) -> None:
    expiry = ["--expires-at", "2199-01-01"]
    made = served.run("keys", "create", "listed", "--scope", "events:write", *expiry)
    key = made.told.strip()
    key_id = key.split("_")[1]
    assert served.post("/v1/events", decision(), key=key).status_code == 201

    before = served.run("keys", "list")
    revoked = served.run("keys", "revoke", key_id)
    refused = served.post("/v1/events", decision(), key=key)
    after = served.run("keys", "list")
    again = served.run("keys", "revoke", key_id)

    line = f"{key_id}\tlisted\tevents:write\t*\texpires 2199-01-01\t"
    assert f"{line}-\n" in before.told
    assert revoked == Done(0, "", "")
    assert refused.status_code == 401
    assert re.search(rf"^{re.escape(line)}revoked \d{{4}}-\d\d-\d\d$", after.told, re.MULTILINE)
    assert again == Done(1, "", f"There is no valid key {key_id}.\n")
    assert key.split("_")[2] not in before.told + after.told


@pytest.mark.parametrize(
    "arguments",
    [
        ["--expires-at", "2020-01-01"],
        ["--side", "lt"],
        ["--side", "XX"],
    ],
)
def test_a_key_that_could_never_be_used_is_refused(
    database: Database, arguments: list[str]
) -> None:
    """It has ended before it began, or it speaks for no country."""
    creating = ["keys", "create", "useless", "--scope", "admin"]

    done = call(*creating, *arguments, env=environment(database))

    assert done.code in {1, 2}
    assert done.told == ""
    assert "Traceback" not in done.complained
    with database.connect() as connection:
        assert connection.execute("SELECT id FROM api_key").fetchall() == []


# Export and check


def test_export_prints_every_change_and_the_chain_recomputes_from_it(served: Served) -> None:
    served.post("/v1/events", decision(), key=served.key)

    done = served.run("export")

    assert (done.code, done.complained) == (0, "")
    changes = [json.loads(line) for line in done.told.splitlines()]
    assert [change["change"] for change in changes] == list(range(1, len(changes) + 1))
    previous = bytes(32)
    for change in changes:
        told = {name: value for name, value in change.items() if name != "hash"}
        previous = hashlib.sha256(previous + rfc8785.dumps(told)).digest()
        assert change["hash"] == previous.hex()
    assert over_http(served)[: len(changes)] == changes


def over_http(served: Served) -> list[object]:
    found: list[object] = []
    path = "/v1/changes?limit=200"
    while items := (page := served.get(path).json())["items"]:
        found += items
        path = page["next"].removeprefix(served.url)
    return found


def test_check_finds_nothing_wrong_beside_a_server(served: Served) -> None:
    assert served.run("check") == Done(0, "The change log is intact.\n", "")


TAMPERINGS = {
    "payload": "UPDATE change SET payload = payload || '{{\"more\": 1}}' WHERE number = {closing}",
    "hash": "UPDATE change SET hash = sha256('other') WHERE number = {closing}",
    "kind": "UPDATE change SET kind = 'source' WHERE number = {closing}",
    "subjects": "UPDATE change SET subjects = '{{}}' WHERE number = {closing}",
    "recorder": """
        UPDATE change SET payload = jsonb_set(payload, '{{recorded_by}}', '"another"')
        WHERE number = {closing}""",
    "instant": """
        UPDATE change SET recorded_at = recorded_at - interval '1 microsecond'
        WHERE number = {closing}""",
    "change gone": "DELETE FROM change WHERE number = {closing}",
    "event's status": "UPDATE status_event SET status = 'open' WHERE change = {closing}",
    "event's period": """
        UPDATE status_event SET effective = '[2023-08-19Z,)' WHERE change = {closing}""",
    "event's recorder": "UPDATE status_event SET recorded_by = 'another' WHERE change = {closing}",
    "event's instant": """
        UPDATE status_event SET recorded_at = recorded_at - interval '1 day'
        WHERE change = {closing}""",
    "event's crossing": """
        UPDATE status_event SET crossing_id = 'raigardas-pryvalka'
        WHERE change = {closing} AND crossing_id = 'sumskas-losa'""",
    "event gone": "DELETE FROM status_event WHERE change = {closing} AND 'LT' = ANY (sides)",
    "event too many": """
        INSERT INTO status_event SELECT (jsonb_populate_record(one, jsonb_build_object(
            'id', gen_random_uuid(), 'crossing_id', 'raigardas-pryvalka'))).*
        FROM status_event one WHERE change = {closing} LIMIT 1""",
    "citation's basis": """
        UPDATE citation SET basis = 'inferred' FROM status_event one
        WHERE one.id = event_id AND change = {closing}""",
    "citation gone": """
        DELETE FROM citation USING status_event one
        WHERE one.id = event_id AND change = {closing} AND locator = 'paragraph 1, sentence 1'""",
    "citation too many": """
        INSERT INTO citation (source_id, event_id, basis) SELECT source_id, event_id, 'stated'
        FROM citation JOIN status_event one ON one.id = event_id
        WHERE change = {closing} LIMIT 1""",
    "source's title": "UPDATE source SET title = 'Another' WHERE change = {article}",
    "source gone": "DELETE FROM source WHERE change = {article}",
    "crossing's traffic": """
        UPDATE crossing_version SET traffic = '{{car}}' WHERE change = {crossing}""",
    "crossing's border": """
        WITH other AS (INSERT INTO border (first, second) VALUES ('LT', 'LV') RETURNING id)
        UPDATE crossing SET border_id = other.id FROM other, crossing_version
        WHERE crossing.id = crossing_id AND change = {crossing}""",
    "version gone": "DELETE FROM crossing_version WHERE change = {crossing}",
    "version's citation gone": "DELETE FROM citation WHERE version = {crossing}",
}
"""Statements, each about one change: of the closing of 2023, of the article or of a crossing."""

CHANGES = {
    "closing": "record/two-closed-2023-08-18",
    "article": "source/article",
    "crossing": f"crossing/{SUMSKAS}",
}


@pytest.mark.parametrize("what", [*islice(TAMPERINGS, 2), *in_full(*islice(TAMPERINGS, 2, None))])
def test_check_names_the_first_change_that_a_superuser_tampered_with(
    seeded: Database, what: str
) -> None:
    number = tamper(seeded, TAMPERINGS[what])

    done = call("check", env=environment(seeded))

    assert (done.code, done.told) == (1, "")
    assert "Traceback" not in done.complained
    assert re.search(rf"\b{number}\b", done.complained.splitlines()[0]), done.complained


def tamper(database: Database, statement: str) -> int:
    """Do what no trigger keeps a superuser from doing; return the number of the change."""
    with database.connect(SUPERUSER) as connection:
        rows = connection.execute("SELECT id, change FROM seed_record").fetchall()
        loaded: dict[str, int] = dict(rows)
        numbers = {name: loaded[seed] for name, seed in CHANGES.items()}
        connection.execute("SET session_replication_role = replica")
        done = connection.execute(statement.format(**numbers).encode())
        assert done.rowcount > 0
    return next(numbers[name] for name in numbers if f"{{{name}}}" in statement)
