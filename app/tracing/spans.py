"""The spans of requests and of their statements.

A span has nothing that is not for everybody who reads traces: no body, no parameter of a statement,
no address of a receiver or a client, and no message of an exception, since those of a database
quote rows.
"""

import re
from collections.abc import Iterable, Iterator, MutableMapping
from contextlib import contextmanager
from importlib.metadata import version
from typing import Self

import psycopg
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import (
    SERVICE_NAME,
    SERVICE_VERSION,
    OTELResourceDetector,
    Resource,
)
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, StatusCode, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from psycopg.abc import Params, Query
from psycopg.sql import Composable
from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry, Pool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.caches import shared
from app.http.requests import RequestKind, RequestTally

NAME = "crossing-status"
"""What the service is called, unless the standard variables name it."""
_SERVER_ERROR = 500
_CONTEXT_HEADERS = {b"traceparent", b"tracestate"}
_UNTRACED = ("/health/", "/metrics")
"""What machines ask every few seconds."""

_WRITE = re.compile(
    r'\b(INSERT)\s+INTO\s+"?(\w+)|\b(DELETE)\s+FROM\s+"?(\w+)'
    r'|(?<!FOR )(?<!KEY )(?<!DO )\b(UPDATE)\s+"?(\w+)'
)
_READ = re.compile(r'^\s*(\w+)\b(?:.*?\bFROM\s+"?(\w+))?', re.DOTALL)

Row = tuple[object, ...]


class Tracing:
    """Sends spans to the collector that the standard variables of OpenTelemetry name."""

    def __init__(self) -> None:
        name = OTELResourceDetector().detect().attributes.get(SERVICE_NAME, NAME)
        about = {SERVICE_NAME: name, SERVICE_VERSION: version(NAME)}
        self._provider = TracerProvider(resource=Resource.create(about))
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer(NAME, version(NAME))
        self._propagator = TraceContextTextMapPropagator()
        self._cursor = _cursor_class(self)
        event.listen(Pool, "connect", self._trace_statements)

    def close(self) -> None:
        """Send what has not been sent, and trace nothing more."""
        event.remove(Pool, "connect", self._trace_statements)
        self._provider.shutdown()

    @contextmanager
    def span(
        self,
        name: str,
        kind: SpanKind = SpanKind.INTERNAL,
        *,
        context: Context | None = None,
    ) -> Iterator[Span]:
        """Give a span, which is the current one within the block."""
        with self._tracer.start_as_current_span(
            name,
            context=context,
            kind=kind,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield span
            except Exception as error:
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(StatusCode.ERROR)
                raise

    def tally(self) -> RequestTally:
        """Return what counts requests, and names the span of each."""
        return TracedTally()

    def requests(self, app: ASGIApp) -> ASGIApp:
        """Return an application whose requests have a span each, within the trace of the client."""

        async def traced(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or scope["path"].startswith(_UNTRACED):
                await app(scope, receive, send)
                return
            sent = {
                name.decode(): value.decode("latin-1")
                for name, value in scope["headers"]
                if name in _CONTEXT_HEADERS
            }
            context = self._propagator.extract(sent)
            method: str = scope["method"]
            with self.span(method, SpanKind.SERVER, context=context) as span:
                span.set_attribute("http.request.method", method)
                await app(scope, receive, _noting(span, send))

        return traced

    def _trace_statements(self, connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        driver = getattr(connection, "driver_connection", None)
        if isinstance(driver, psycopg.AsyncConnection):
            driver.cursor_factory = self._cursor


class TracedTally(RequestTally):
    """Names the span of each request that is counted by its route."""

    def add(self, kind: RequestKind, seconds: float) -> None:
        span = get_current_span()
        span.update_name(f"{kind.method} {kind.route}")
        span.set_attribute("http.route", kind.route)
        super().add(kind, seconds)


def add_trace_ids(
    _: object, __: str, line: MutableMapping[str, object]
) -> MutableMapping[str, object]:
    """Add the ids of the current span to a line of the log."""
    context = get_current_span().get_span_context()
    if context.is_valid:
        line["trace_id"] = f"{context.trace_id:032x}"
        line["span_id"] = f"{context.span_id:016x}"
    return line


@shared("statement summaries", most=1_000, entry_bytes=4_000)
def summary_of(statement: str | bytes) -> str:
    """Return what a statement does, and to which table in the first place."""
    text = statement.decode() if isinstance(statement, bytes) else statement
    write = _WRITE.search(text)
    match = write or _READ.match(text)
    return " ".join(part for part in match.groups() if part) if match else "statement"


def _noting(span: Span, send: Send) -> Send:
    """Note in the span what is answered."""

    async def noted(message: Message) -> None:
        if message["type"] == "http.response.start":
            span.set_attribute("http.response.status_code", message["status"])
            if message["status"] >= _SERVER_ERROR:
                span.set_status(StatusCode.ERROR)
            for name, value in message["headers"]:
                if name == b"x-request-id":
                    span.set_attribute("crossings.request_id", value.decode("latin-1"))
        await send(message)

    return noted


def _cursor_class(tracing: Tracing) -> type[psycopg.AsyncCursor[Row]]:
    """Return cursors that give each statement within another span one of its own.

    In a pipeline it ends when the statement is queued.
    """

    class TracedCursor(psycopg.AsyncCursor[Row]):
        async def execute(
            self,
            query: Query,
            params: Params | None = None,
            *,
            prepare: bool | None = None,
            binary: bool | None = None,
        ) -> Self:
            with _statement(query):
                # Its overloads tell templates from the rest, and this passes on any.
                return await super().execute(query, params, prepare=prepare, binary=binary)  # type: ignore[arg-type,misc]

        async def executemany(
            self, query: Query, params_seq: Iterable[Params], *, returning: bool = False
        ) -> None:
            with _statement(query):
                await super().executemany(query, params_seq, returning=returning)

    @contextmanager
    def _statement(query: Query) -> Iterator[None]:
        # What happens beside requests, such as looking for changes, belongs to no trace.
        if not get_current_span().is_recording():
            yield
            return
        text = query.as_string() if isinstance(query, Composable) else query
        summary = summary_of(text if isinstance(text, str | bytes) else str(text))
        with tracing.span(summary, SpanKind.CLIENT) as span:
            span.set_attribute("db.system.name", "postgresql")
            span.set_attribute("db.query.summary", summary)
            yield

    return TracedCursor
