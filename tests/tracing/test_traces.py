"""Traces of the real service, as a collector receives them."""

import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from app import tracing
from app.access.keys import parse_key
from app.config import Settings
from app.embedded.server import SUPERUSER
from app.tracing.spans import summary_of
from tests import clients
from tests.api import MEDININKAI, SUMSKAS, citation, decision
from tests.commands import run
from tests.conftest import Database
from tests.marks import full
from tests.servers import Service, service
from tests.subscriptions.conftest import LOOPBACK, Hooks
from tests.subscriptions.receivers import receiving
from tests.tracing.collector import Collector, Span, collecting
from tests.waiting import until

CANARY = "canary-of-a-body"
TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
FAILING = """
    CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'no room for %', NEW; END $$;
    CREATE TRIGGER failing BEFORE INSERT ON source FOR EACH ROW
    WHEN (NEW.title LIKE 'canary%') EXECUTE FUNCTION fail()
"""


@full
async def test_reads_writes_deliveries_and_imports_are_traced(
    seeded: Database, tmp_path: Path
) -> None:
    key = await seeded.new_key()
    with collecting() as collector:
        more = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_BSP_SCHEDULE_DELAY": "50",
            "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=tests",
            "CROSSINGS_WEBHOOK_ALLOW": LOOPBACK,
            "CROSSINGS_LOG_FORMAT": "json",
            "CROSSINGS_IMPORTERS": f"us-cbp={collector.url}/feed",
        }
        with service(tmp_path / "log", database_url=seeded.url, more=more) as running:
            secrets = await use(running, seeded, key)
            names = {
                "GET /v1/crossings/{crossing_id}/status",
                "GET /v1/events",
                "GET none",
                "POST /v1/events",
                "POST /v1/sources",
                "webhook turn",
                "webhook message",
                "import us-cbp",
            }
            await until(lambda: names <= {span.name for span in collector.spans()})

        assert_reads(collector)
        assert_write(collector, running)
        assert_failure(collector)
        assert_work(collector)
        for name in ("/health/ready", "/health/live"):
            assert not any(name in str(span) for span in collector.spans())
        sent = b"".join(collector.received)
        assert b"tests" in sent
        assert b"crossing-status" in sent
        for secret in secrets:
            assert secret.encode() not in sent, secret
        assert not any(span.events for span in collector.spans())


async def use(running: Service, database: Database, key: str) -> list[str]:
    """Do what is to be traced, and return what nobody may see."""
    with database.connect(SUPERUSER) as connection:
        connection.execute(FAILING)
    async with receiving() as receiver, running.api(key) as api:
        hooks = Hooks(api, database)
        subscription = await hooks.subscribe(f"{receiver.url}?token={CANARY}")
        headers = {"traceparent": f"00-{TRACE}-{CALLER}-01", "X-Request-Id": "read-0001"}
        await api.client.get(f"/v1/crossings/{MEDININKAI}/status", headers=headers)
        await api.get("/v1/events", crossing=SUMSKAS, limit=1)
        await api.get(f"/nowhere/{CANARY}")
        source = {"title": "A title", "note": CANARY}
        body = decision(
            reason={"code": "other", "text": CANARY}, citations=[citation(source=source)]
        )
        assert (await api.post("/v1/events", body)).status_code == 201
        # The server closes its connection then.
        authorized = {"Authorization": f"Bearer {key}"}
        failed = clients.post(
            f"{running.url}/v1/sources", json={"title": CANARY}, headers=authorized
        )
        assert failed.status_code == 500
        await hooks.settled(subscription)
        port = receiver.port
    parsed = parse_key(key)
    assert parsed is not None
    secret = str(subscription["secret"]).removeprefix("whsec_")
    return [parsed.secret, secret, CANARY, f":{port}"]


def only(spans: list[Span]) -> Span:
    (span,) = spans
    return span


def assert_reads(collector: Collector) -> None:
    """What the board answers asks no database, and belongs to the trace of its client."""
    read = only(collector.spans("GET /v1/crossings/{crossing_id}/status"))
    assert (read.trace, read.parent) == (TRACE, CALLER)
    assert read.attributes == {
        "http.request.method": "GET",
        "http.route": "/v1/crossings/{crossing_id}/status",
        "http.response.status_code": "200",
        "crossings.request_id": "read-0001",
    }
    assert collector.children(read) == []
    listed = only(collector.spans("GET /v1/events"))
    assert "SELECT status_event" in {span.name for span in collector.children(listed)}
    assert only(collector.spans("GET none")).attributes["http.response.status_code"] == "404"


def assert_write(collector: Collector, running: Service) -> None:
    """A line of the log leads to its trace."""
    write = only(collector.spans("POST /v1/events"))
    assert write.attributes["http.response.status_code"] == "201"
    statements = collector.children(write)
    assert {"INSERT change", "INSERT status_event"} <= {span.name for span in statements}
    assert {span.attributes["db.system.name"] for span in statements} == {"postgresql"}
    lines = [
        json.loads(line)
        for line in running.log.read_text(encoding="utf-8").splitlines()
        if line.startswith("{")
    ]
    line = next(one for one in lines if one.get("route") == "/v1/events")
    assert (line["trace_id"], line["span_id"]) == (write.trace, write.id)
    assert line["request_id"] == write.attributes["crossings.request_id"]


def assert_failure(collector: Collector) -> None:
    """It has what was tried, and nothing that the database quotes."""
    failed = only(collector.spans("POST /v1/sources"))
    assert failed.has_failed
    assert failed.attributes["http.response.status_code"] == "500"
    assert failed.attributes["error.type"] == "ProgrammingError"
    assert failed.message == ""
    assert "INSERT source" in {span.name for span in collector.children(failed)}


def assert_work(collector: Collector) -> None:
    turns = {span.id: span for span in collector.spans("webhook turn")}
    for message in collector.spans("webhook message"):
        assert turns[message.parent].trace == message.trace
        assert message.attributes["http.response.status_code"] == "200"
    imported = only(collector.spans("import us-cbp"))
    assert imported.has_failed
    assert "SELECT imported_payload" in {span.name for span in collector.children(imported)}


def test_traces_are_off_and_cost_no_import_unless_they_are_wanted() -> None:
    code = (
        "import sys, app.main, app.commands.serve, app.commands.worker, app.delivery.worker\n"
        "from app.config import Settings\n"
        "from app.tracing import start_tracing\n"
        "assert start_tracing(Settings()) is None\n"
        # The client of Redis imports the metrics of OpenTelemetry by itself, if they are there.
        "ours = ('app.tracing.', 'opentelemetry.exporter', 'opentelemetry.sdk.trace.', 'google.')\n"
        "print([name for name in sys.modules if name.startswith(ours)])"
    )
    done = run("python", "-c", code)

    assert (done.code, done.told) == (0, "[]\n"), done.complained


@pytest.mark.parametrize(
    ("variables", "are_sent"),
    [
        ({}, False),
        ({"otlp_endpoint": "http://127.0.0.1:4318"}, True),
        ({"otlp_endpoint": "http://127.0.0.1:4318", "traces_exporter": "none"}, False),
        ({"traces_exporter": "otlp"}, True),
        ({"traces_exporter": "console"}, False),
    ],
)
def test_the_standard_variables_turn_them_on(
    variables: dict[str, str], are_sent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {
        "otlp_endpoint": "OTEL_EXPORTER_OTLP_ENDPOINT",
        "traces_exporter": "OTEL_TRACES_EXPORTER",
    }
    for field, name in names.items():
        monkeypatch.delenv(name, raising=False)
        if field in variables:
            monkeypatch.setenv(name, variables[field])

    assert Settings().sends_traces is are_sent


def test_without_the_libraries_the_log_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    absent: Callable[[str], None] = lambda _: None  # noqa: E731 -- shorter
    monkeypatch.setattr(tracing, "find_spec", absent)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")

    with caplog.at_level(logging.WARNING):
        assert tracing.start_tracing(Settings()) is None

    assert "pip install crossing-status[otel]" in caplog.text


@pytest.mark.parametrize(
    ("statement", "summary"),
    [
        ("SELECT number FROM change WHERE number > %s", "SELECT change"),
        (b'INSERT INTO "status_event" ("id") VALUES (%s)', "INSERT status_event"),
        ("\n    WITH due AS (SELECT id FROM subscription FOR NO KEY UPDATE SKIP LOCKED)"  # noqa: ISC004 -- a table
         " UPDATE subscription SET turn = turn + 1", "UPDATE subscription"),
        ("INSERT INTO allowance AS kept VALUES (1) ON CONFLICT DO UPDATE SET a = 1",
         "INSERT allowance"),
        ("DELETE FROM delivery", "DELETE delivery"),
        ("SET CONSTRAINTS ALL IMMEDIATE", "SET"),
        ("SELECT pg_notify('delivery', 'secret')", "SELECT"),
        ("", "statement"),
    ],
)  # fmt: skip
def test_a_statement_is_named_by_what_it_does_to_which_table(
    statement: str | bytes, summary: str
) -> None:
    assert summary_of(statement) == summary
