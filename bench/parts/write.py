"""Whole writes, beside the same statements sent by pgbench."""

import re
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from psycopg import sql

from app.embedded.server import SERVICE, SUPERUSER
from bench.crowd import SOURCE, WATCHED
from bench.findings import Finding, median_of
from bench.load import Asking, Transacting, alternate
from bench.processes import BenchError, ask, connection
from bench.stage import Database, Stage

CLIENTS = 16
WRITERS = 20

_SCRIPT = Path(__file__).with_name("write.sql")
_LOGGED = re.compile(r"\[(\d+)\] LOG:  (?:statement|execute [^:]+): (.*?)(?=\n\S|\Z)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Probe:
    """One real write: its statements, and what the script needs to make the same."""

    statements: list[str]
    variables: Mapping[str, str | int]


def write(stage: Stage) -> Iterator[Finding]:
    """Compare one worker with pgbench: as many clients, each write a transaction."""
    database, twin = stage.copy(stage.usual), stage.copy(stage.usual)
    probe = _probe(stage, twin)
    comparable = _statements_of_script() == len(probe.statements)
    if not comparable:
        print(*probe.statements, sep="\n\n", file=sys.stderr)
    note = "" if comparable else "not comparable: renew write.sql by the statements printed"
    with stage.service(database) as service:
        asking = Asking(
            service.url("/v1/events"),
            database.headers(),
            connections=CLIENTS,
            method="POST",
            lines=stage.lines(database.closures().values()),
        )
        variables = {"crossings": stage.usual.crossings, **probe.variables}
        statements = Transacting(twin, _SCRIPT, CLIENTS, variables)
        yield _processor_time(stage, asking)
        # Twice as long as reads: the writes that one load breaks off burden the next.
        contest = alternate(
            stage,
            lambda seconds: asking.load(2 * seconds),
            lambda seconds: statements.load(2 * seconds),
        )
        alone = replace(asking, connections=1)
        crowded = replace(asking, connections=WRITERS)
        waiting = alternate(
            stage,
            lambda seconds: crowded.load(2 * seconds),
            lambda seconds: alone.load(2 * seconds),
        )
    yield contest.rate(
        "a write, whole / its statements by pgbench",
        at_least=0.25 if comparable else None,
        note=note,
    )
    yield contest.p99("a write, whole: p99 / pgbench's", at_most=None)
    yield waiting.p99(f"p99 of a write with {WRITERS} writers / with 1", at_most=25)


def _processor_time(stage: Stage, asking: Asking) -> Finding:
    """Add up what all processes spend on a write: the service's, and the database's."""
    one = replace(asking, connections=1)
    one.load(stage.warm_up_seconds)
    spent = []
    for _ in range(stage.rounds):
        before, began = stage.processor_seconds(), time.perf_counter()
        load = one.load(stage.seconds)
        writes = load.rate * (time.perf_counter() - began)
        spent.append((stage.processor_seconds() - before) / writes * 1000)
    return median_of("processor time of a write, all processes", spent, unit="ms", at_most=6)


def _probe(stage: Stage, database: Database) -> Probe:
    """Make a write with the log of statements on, and read back what it wrote."""
    with stage.server.connect(SUPERUSER, database.name) as superuser:
        logging = sql.SQL("ALTER ROLE {} IN DATABASE {} {} log_statement")
        who = (sql.Identifier(SERVICE), sql.Identifier(database.name))
        superuser.execute(logging.format(*who, sql.SQL("SET")) + sql.SQL(" = 'all'"))
        headers = {**database.headers(), "Idempotency-Key": "probe"}
        body = database.closures()[WATCHED].encode()
        with stage.service(database) as service, connection(service.port) as client:
            written = ask(client, "POST", "/v1/events", headers=headers, body=body)
        superuser.execute(logging.format(*who, sql.SQL("RESET")))
        row = superuser.execute(
            "SELECT key_id, headers::text AS headers, body, subjects::text, payload::text, hash"
            " FROM kept_answer, change ORDER BY number DESC LIMIT 1"
        ).fetchone()
    if written.status != 201 or row is None:
        raise BenchError(f"POST /v1/events answers {written.status}: {written.body!r}")
    names = ("key_id", "headers", "body", "subjects", "payload", "hash")
    values = ["\\x" + one.hex() if isinstance(one, bytes) else str(one) for one in row]
    return Probe(_logged(stage), {"source": SOURCE, **dict(zip(names, values, strict=True))})


def _logged(stage: Stage) -> list[str]:
    """Return what the newest transaction that wrote a change sent between BEGIN and COMMIT."""
    text = (stage.folder / "data" / "postgres.log").read_text(encoding="utf-8")
    sent: dict[str, list[str]] = {}
    found: list[str] = []
    for process, statement in _LOGGED.findall(text):
        match statement.strip():
            case begin if begin.startswith("BEGIN"):
                sent[process] = []
            case ";":
                pass  # the end of a pipeline
            case "COMMIT":
                if any('INSERT INTO "change"' in one for one in sent.get(process, ())):
                    found = sent[process]
            case other:
                sent.setdefault(process, []).append(other)
    return found


def _statements_of_script() -> int:
    _, _, transaction = _SCRIPT.read_text(encoding="utf-8").partition("BEGIN;")
    ends = re.findall(r"(;|\\gset)$", transaction, re.MULTILINE)
    return len(ends) - len(["COMMIT"])
