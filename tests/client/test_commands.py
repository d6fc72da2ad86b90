"""The commands for people, against the service: what they print, and how they end."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.cli import COMMANDS
from tests import clients
from tests.api import MEDININKAI, SUMSKAS, TVERECIUS, crossing, decision
from tests.client.proxies import Drop, Proxy, Refuse
from tests.commands import BIN, Done, call, environment, run
from tests.marks import full, in_full
from tests.servers import Service, free_port
from tests.waiting import eventually

BREST, BREST_RAIL = "terespol-brest", "terespol-brest-rail"


def ask(server: Service, *arguments: str | Path, **settings: str) -> Done:
    """Run a command that asks the service."""
    return call(
        *arguments, env=environment(None, CROSSINGS_SERVER=server.url, TZ="UTC", **settings)
    )


def post(server: Service, path: str, body: object) -> None:
    answer = clients.post(
        server.url + path, json=body, headers={"Authorization": f"Bearer {server.key}"}
    )
    assert answer.status_code == 201, answer.text


@pytest.fixture(scope="module")
def observed_at(server: Service) -> datetime:
    """When waits were observed at Medininkai and at Brest."""
    instant = datetime.now(UTC) - timedelta(minutes=12)
    lane = {"traffic": "car", "observed_at": instant.isoformat(), "method": "official"}
    observations = [
        {**lane, "crossing": MEDININKAI, "to": "LT", "vehicles": 120,
         "wait": {"state": "known", "minutes": 35}},
        {**lane, "crossing": MEDININKAI, "to": "BY", "wait": {"state": "unknown"}, "vehicles": 3,
         "queue": {"weight_kg": {"from": 3500}, "empty": True}},
        {**lane, "crossing": BREST, "to": "PL", "wait": {"state": "known", "minutes": 140}},
    ]  # fmt: skip
    source = {"title": "Waits", "publisher": "Border guard"}
    post(server, "/v1/observations", {"source": source, "observations": observations})
    return instant


# Status


def test_it_prints_the_answer_and_the_lanes(server: Service) -> None:
    done = ask(server, "status", SUMSKAS, "--traffic", "truck")

    assert done.complained == ""
    lines = done.told.splitlines()
    assert lines[0] == "Losha – Šumskas (sumskas-losa, BY-LT)"
    assert lines[1].startswith("closed since 2023-08-17 21:00+00:00, until further notice")
    assert re.fullmatch(r"Not confirmed for \d+ days\.", lines[2])
    table = [line.split() for line in lines[4:7]]
    assert table[0] == ["TRAFFIC", "TO", "STATUS", "NOTE"]
    assert table[1:] == [["truck", "BY", "closed", "stale"], ["truck", "LT", "closed", "stale"]]
    assert "LT says closed (confirmed). security" in done.told
    assert "\x1b" not in done.told


@pytest.mark.parametrize("name", ["šumskas", "Šumskas", "Шумскас", "sumskas-losa", "SUMSKAS"])
def test_a_crossing_is_found_by_any_spelling(server: Service, name: str) -> None:
    assert f"({SUMSKAS}, " in ask(server, "status", name).told


def test_json_is_what_the_service_answers(server: Service) -> None:
    at = "2023-08-17T20:59:59+00:00"
    done = ask(server, "status", SUMSKAS, "--at", at, "--to", "LT", "--json")

    answer = clients.get(
        f"{server.url}/v1/crossings/{SUMSKAS}/status", params={"at": at, "to": "LT"}
    )
    assert json.loads(done.told) == answer.json()


def test_it_asks_for_a_traveller(server: Service) -> None:
    post(server, "/v1/crossings", crossing("limited", traffic=["truck"]))
    limit = decision(crossings=["limited"], status="restricted", max_weight_kg=3500)
    post(server, "/v1/events", limit)
    lane = ("status", "limited", "--traffic", "truck", "--to", "LT")

    light = ask(server, *lane, "--weight-kg", "3000", "--height-m", "2.5", "--empty", "--as",
                "residents", "--citizen-of", "LT")  # fmt: skip
    heavy = ask(server, *lane, "--weight-kg", "4000")

    assert (light.code, heavy.code) == (10, 11)
    assert "max_weight" in heavy.told


@pytest.mark.parametrize(
    ("status", "code"), [("open", 0), ("restricted", 10), ("closed", 11), ("unknown", 12)]
)
def test_the_exit_status_is_the_status(server: Service, status: str, code: int) -> None:
    made = f"made-{status}"
    post(server, "/v1/crossings", crossing(made))
    if status != "unknown":
        post(server, "/v1/events", decision(crossings=[made], status=status))

    done = ask(server, "status", made)

    assert done.code == code
    assert done.told.splitlines()[1].split()[0] == status


@pytest.mark.parametrize("command", ["status", "wait", "watch"])
def test_no_such_crossing_is_20(server: Service, command: str) -> None:
    done = ask(server, command, "Xyzzyqwert")

    assert done == Done(20, "", "There is no crossing 'Xyzzyqwert'.\n")


def test_no_such_lane_is_20(server: Service) -> None:
    done = ask(server, "status", SUMSKAS, "--traffic", "train")

    assert (done.code, done.told) == (20, "")
    assert done.complained.startswith(f"{SUMSKAS} has these lanes: car to BY, ")


@pytest.mark.parametrize("command", ["status", "wait", "watch"])
def test_a_server_that_is_not_reached_is_21(command: str) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    done = call(command, SUMSKAS, "--server", address)

    assert (done.code, done.told) == (21, "")
    assert done.complained.startswith(f"{address} cannot be reached: ")
    assert "Traceback" not in done.complained


@full
def test_a_service_that_cannot_answer_is_21(proxy: Proxy) -> None:
    proxy.faults += [Refuse(503, {"Retry-After": "3600"})]

    assert call("status", SUMSKAS, "--server", proxy.url).code == 21


def test_something_else_at_the_address_is_21(proxy: Proxy) -> None:
    proxy.faults += [Refuse(200, {"Content-Type": "text/html"}, "<h1>It works!</h1>")]

    done = call("status", SUMSKAS, "--server", proxy.url)

    assert (done.code, done.told) == (21, "")
    assert "does not answer as Crossing Status does" in done.complained


@pytest.mark.parametrize(
    "arguments",
    [
        ["status"],
        ["status", SUMSKAS, "--traffic", "hovercraft"],
        ["status", SUMSKAS, "--at", "yesterday"],
        ["status", SUMSKAS, "--at", "2023-08-17T00:00:00"],
        ["status", SUMSKAS, "--to", "lithuania"],
        ["status", SUMSKAS, "--server", "127.0.0.1:8000"],
        ["status", "brest"],
        ["wait", SUMSKAS, "--timeout", "0"],
        ["report", SUMSKAS, "closed", "--summary", "Snow"],
        ["report", SUMSKAS, "closed", "--side", "LT", "--summary", "Snow"],
        ["download", "everything.zip"],
    ],
    ids=" ".join,
)
def test_what_makes_no_sense_is_2(server: Service, arguments: list[str]) -> None:
    done = ask(server, *arguments)

    assert (done.code, done.told) == (2, "")
    assert done.complained
    assert "Traceback" not in done.complained


def test_of_several_that_a_name_may_mean_all_are_listed(server: Service) -> None:
    done = ask(server, "status", "brest")

    assert done.complained.startswith("'brest' may be one of these; give its id:\n")
    assert f"\n  {BREST}  " in done.complained
    assert f"\n  {BREST_RAIL}  " in done.complained
    assert f"({BREST}, " in ask(server, "status", "brest", "--traffic", "car").told


# Wait


def test_it_prints_waits_with_their_age_and_source(server: Service, observed_at: datetime) -> None:
    done = ask(server, "wait", MEDININKAI)

    assert done.code == 0
    minutes = round((datetime.now(UTC) - observed_at) / timedelta(minutes=1))
    heads, *rows = [re.split(r"  +", line.strip()) for line in done.told.splitlines()]
    assert heads[:4] == ["CROSSING", "TRAFFIC", "TO", "QUEUE"]
    assert rows[0][:2] == [MEDININKAI, "car"]
    assert "over 3500 kg, empty" in done.told
    assert "35 min" in done.told
    assert any(f"{age} min ago" in done.told for age in (minutes - 1, minutes))
    assert "Border guard" in done.told


@pytest.mark.usefixtures("observed_at")
def test_waits_of_all_that_a_name_may_mean_are_printed(server: Service) -> None:
    done = ask(server, "wait", "brest")

    assert done.code == 0
    assert "140 min" in done.told


def test_that_there_are_no_waits_is_said(server: Service) -> None:
    assert ask(server, "wait", TVERECIUS) == Done(12, "No waits are known now.\n", "")
    assert ask(server, "wait", TVERECIUS, "--json") == Done(12, "[]\n", "")


@pytest.mark.usefixtures("observed_at")
def test_waits_are_json_as_the_service_answers_them(server: Service) -> None:
    done = ask(server, "wait", MEDININKAI, "--to", "LT", "--json")

    answer = clients.get(f"{server.url}/v1/crossings/{MEDININKAI}/status", params={"to": "LT"})
    waits = answer.json()["waits"]
    assert json.loads(done.told) == [{"crossing": MEDININKAI, **wait} for wait in waits]


# Watch


class Watching:
    """A `crossings watch` in a process of its own, and the lines that it has printed."""

    def __init__(self, server: Service, output: Path, *arguments: str) -> None:
        self.output = output
        # What runs in the background of a shell ignores interrupts, and so do its children.
        ignored = signal.signal(signal.SIGINT, signal.default_int_handler)
        with output.open("wb") as out:
            self.process = subprocess.Popen(
                [BIN / "crossings", "watch", *arguments, "--server", server.url],
                stdout=out,
                stderr=subprocess.PIPE,
                env=environment(TZ="UTC"),
            )
        signal.signal(signal.SIGINT, ignored)

    @property
    def lines(self) -> list[str]:
        return self.output.read_text(encoding="utf-8").splitlines()

    def interrupt(self) -> tuple[int, bytes]:
        self.process.send_signal(signal.SIGINT)
        _, complained = self.process.communicate()
        return self.process.returncode, complained


@pytest.fixture
def newest(server: Service) -> str:
    """The number of the newest change."""
    return str(clients.get(f"{server.url}/v1/changes/checkpoint").json()["change"])


@contextmanager
def watching(server: Service, output: Path, *arguments: str) -> Iterator[Watching]:
    found = Watching(server, output, *arguments)
    try:
        yield found
    finally:
        found.process.kill()
        found.process.wait()


def test_it_prints_each_change_until_it_is_interrupted(
    server: Service, newest: str, tmp_path: Path
) -> None:
    post(server, "/v1/crossings", crossing("watched"))
    post(server, "/v1/events", decision(crossings=["watched"], status="open"))
    with watching(server, tmp_path / "told", "by-lt", "--after", newest) as found:
        eventually(lambda: len(found.lines) >= 2)
        post(server, "/v1/events", decision(crossings=["watched"], traffic=["car"], to="LT"))
        eventually(lambda: len(found.lines) >= 3)
        ended = found.interrupt()

    assert ended == (0, b"")
    added, opened, closed = found.lines
    assert re.search(r"  crossing +watched: new → unknown$", added)
    assert re.search(r"  decision +watched: unknown → open$", opened)
    assert re.search(r"  decision +watched: open → restricted$", closed)


@full
def test_it_prints_changes_as_lines_of_json(server: Service, newest: str, tmp_path: Path) -> None:
    post(server, "/v1/events", decision(crossings=[TVERECIUS]))
    post(server, "/v1/events", decision(crossings=[SUMSKAS]))
    arguments = (SUMSKAS, "--json", "--after", newest, "--kind", "decision")
    with watching(server, tmp_path / "told", *arguments) as found:
        eventually(lambda: found.lines)
        assert found.interrupt() == (0, b"")

    page = clients.get(f"{server.url}/v1/changes", params={"after": newest, "crossing": SUMSKAS})
    assert [json.loads(line) for line in found.lines] == page.json()["items"]


# Report


def report(server: Service, *arguments: str | Path, url: str | None = None) -> Done:
    return call(
        "report", "tverečius", "restricted", "--side", "LT", "--summary", "Only in the mornings",
        *arguments,
        env=environment(
            CROSSINGS_SERVER=url or server.url, CROSSINGS_API_KEY=server.key, TZ="UTC"
        ),
    )  # fmt: skip


def test_what_is_reported_is_recorded(server: Service) -> None:
    done = report(
        server, "--traffic", "truck", "--to", "LT", "--reason", "staffing",
        "--from", "2031-01-01T00:00:00+02:00", "--until", "2031-02-01T00:00:00+02:00",
        "--source-url", "https://example.org/notice", "--source-title", "Notice 7",
        "--publisher", "Border guard", "--source-kind", "official", "--certainty", "reported",
    )  # fmt: skip

    assert (done.code, done.complained) == (0, "")
    change = int(re.findall(r"Recorded as change (\d+)\.", done.told)[0])
    page = clients.get(f"{server.url}/v1/changes", params={"after": change - 1, "limit": 1})
    (event,) = page.json()["items"][0]["payload"]["events"]
    assert event["crossing"] == TVERECIUS
    assert event["effective"] == {"from": "2030-12-31T22:00:00Z", "until": "2031-01-31T22:00:00Z"}
    assert (event["traffic"], event["to"]) == (["truck"], "LT")
    assert event["reason"] == {"code": "staffing", "text": "Only in the mornings"}
    assert event["certainty"] == "reported"
    source = clients.get(f"{server.url}/v1/sources/{event['citations'][0]['source']}").json()
    assert (source["kind"], source["title"]) == ("official", "Notice 7")
    assert source["url"] == "https://example.org/notice"


def test_a_dry_run_says_what_would_change_and_writes_nothing(server: Service, newest: str) -> None:
    done = report(server, "--dry-run", "--until", "2029-01-01T00:00:00+00:00")

    assert done.code == 0
    assert done.told.startswith("It is valid, and nothing was written.\nCROSSING ")
    assert re.search(r" restricted  car to BY", done.told)
    assert clients.get(f"{server.url}/v1/changes/checkpoint").json()["change"] == int(newest)


def test_a_report_under_the_same_key_is_recorded_once(server: Service, proxy: Proxy) -> None:
    """Although its answer was lost each time."""
    proxy.faults += [None, Drop(), Drop(), Drop()]

    lost = report(server, url=proxy.url)
    key = re.findall(r"--idempotency-key (\S+?): it is recorded once", lost.complained)[0]
    first, again = (report(server, "--idempotency-key", key, "--json") for _ in range(2))

    assert (lost.code, lost.told) == (21, "")
    assert (first.code, again.code) == (0, 0)
    assert json.loads(first.told) == json.loads(again.told)


def test_the_key_may_be_in_a_file(server: Service, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"{server.key}\n", encoding="ascii")
    done = ask(
        server, "report", SUMSKAS, "open", "--side", "LT", "--summary", "x", "--dry-run",
        "--key-file", file,
    )  # fmt: skip

    assert done.code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["--until", "2001-01-01T00:00:00+00:00"], 2, "effective.until"),
        (["--side", "PL"], 2, "sides"),
        (["--to", "lt"], 2, "to"),
    ],
)
def test_what_the_service_finds_wrong_is_said(
    server: Service, arguments: list[str], code: int, sentence: str
) -> None:
    done = report(server, *arguments)

    assert (done.code, done.told) == (code, "")
    assert sentence in done.complained


def test_a_key_that_does_not_allow_it_is_1(server: Service) -> None:
    done = ask(
        server, "report", SUMSKAS, "open", "--side", "LT", "--summary", "x",
        CROSSINGS_API_KEY="csk_wrong",
    )  # fmt: skip

    assert (done.code, done.told) == (1, "")
    assert "key" in done.complained


# Download


def test_an_export_is_downloaded_to_a_file(server: Service, tmp_path: Path) -> None:
    file = tmp_path / "log.csv"
    done = ask(server, "download", "events.csv", "-o", file, "--border", "BY-LT")

    assert (done.code, done.complained) == (0, "")
    assert re.fullmatch(rf"{file}: [\d.]+ [kM]B, as of change \d+\n", done.told)
    assert file.read_text(encoding="utf-8").startswith("id,")


def test_a_file_that_cannot_be_written_is_1(server: Service, tmp_path: Path) -> None:
    done = ask(server, "download", "events.csv", "-o", tmp_path / "none" / "log.csv")

    assert (done.code, done.told) == (1, "")
    assert "cannot be written: No such file or directory" in done.complained


# A terminal


def on_a_terminal(server: Service, *arguments: str, **settings: str) -> str:
    """Return what a command writes to a terminal, standard error included."""
    terminal, end = pty.openpty()
    process = subprocess.Popen(
        [BIN / "crossings", *arguments, "--server", server.url],
        env=environment(None, TERM="xterm", **settings),
        stdout=end,
        stderr=end,
    )
    os.close(end)
    output = b""
    # Linux ends what is read from a terminal whose programs have ended with an error.
    with os.fdopen(terminal, "rb", buffering=0) as reader, suppress(OSError):
        while part := reader.read(4096):
            output += part
    process.wait()
    return output.decode()


@full
def test_statuses_have_colours_on_a_terminal_alone(server: Service) -> None:
    assert "\x1b[31mclosed" in on_a_terminal(server, "status", SUMSKAS)
    assert "\x1b" not in on_a_terminal(server, "status", SUMSKAS, NO_COLOR="1")
    assert "\x1b" not in run("crossings", "status", SUMSKAS, "--server", server.url).told


@full
def test_progress_is_shown_on_a_terminal(server: Service, tmp_path: Path) -> None:
    told = on_a_terminal(server, "download", "events.csv", "-o", str(tmp_path / "events.csv"))

    assert re.search(rf"\r{tmp_path}/events\.csv: [\d.]+ kB", told)


# How they start


def loaded_by(*arguments: str, **settings: str) -> tuple[str, set[str]]:
    """Return what a command prints, and the modules that it has loaded."""
    code = (
        "import sys\n"
        "from app.cli import main\n"
        "sys.argv[0] = 'crossings'\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=environment(None, **settings),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout, set(done.stderr.split())


SERVER_MODULES = {"app.config", "app.errors", "app.vocabulary", "fastapi", "sqlalchemy", "psycopg"}


def test_a_question_loads_nothing_of_the_server(server: Service) -> None:
    told, modules = loaded_by("status", SUMSKAS, "--server", server.url)

    assert SUMSKAS in told
    assert not modules & SERVER_MODULES


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("crossings w", ["wait", "watch", "worker"]),
        ("crossings status --traffic t", ["truck", "train"]),
        *in_full(
            ("crossings status --tra", ["--traffic"]),
            ("crossings report sumskas-losa c", ["closed"]),
        ),
    ],
)
def test_a_shell_completes_commands_options_and_words(words: str, expected: list[str]) -> None:
    """Without loading the server or the client, so that it is quick."""
    told, modules = loaded_by(
        _CROSSINGS_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=str(words.count(" "))
    )

    assert told.split() == expected
    assert not modules & {*SERVER_MODULES, "httpx2"}


@full
def test_a_shell_completes_the_names_of_all_commands() -> None:
    told, modules = loaded_by(
        _CROSSINGS_COMPLETE="complete_bash", COMP_WORDS="crossings ", COMP_CWORD="1"
    )

    assert set(told.split()) == set(COMMANDS) - {"courier"}
    assert not modules & SERVER_MODULES


@full
def test_completion_can_be_installed() -> None:
    """For the shell that it is called from."""
    done = subprocess.run(
        ["bash", "-c", f"{BIN / 'crossings'} --show-completion; exit $?"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert "_CROSSINGS_COMPLETE=complete_bash" in done.stdout
