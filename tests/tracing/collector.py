"""A collector of traces: what it was sent by OTLP over HTTP."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import cast

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1 import trace_pb2


@dataclass(frozen=True)
class Span:
    """A span as it was received; ids are in hexadecimal digits."""

    name: str
    trace: str
    id: str
    parent: str
    has_failed: bool
    message: str
    attributes: dict[str, str]
    events: int

    @classmethod
    def of(cls, span: trace_pb2.Span) -> "Span":
        return cls(
            span.name,
            span.trace_id.hex(),
            span.span_id.hex(),
            span.parent_span_id.hex(),
            span.status.code == trace_pb2.Status.STATUS_CODE_ERROR,
            span.status.message,
            {
                one.key: one.value.string_value or str(one.value.int_value)
                for one in span.attributes
            },
            len(span.events),
        )


class Collector(ThreadingHTTPServer):
    """It takes what is sent to ``/v1/traces``, and has nothing else."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.received: list[bytes] = []
        """The body of every request."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def spans(self, name: str | None = None) -> list[Span]:
        """Return the spans that were received, or those of one name."""
        return [
            Span.of(span)
            for body in list(self.received)
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
            if name in {None, span.name}
        ]

    def children(self, parent: Span) -> list[Span]:
        return [span for span in self.spans() if span.parent == parent.id]


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert self.path == "/v1/traces"
        assert self.headers["Content-Type"] == "application/x-protobuf"
        body = self.rfile.read(int(self.headers["Content-Length"]))
        cast("Collector", self.server).received.append(body)
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.end_headers()
        self.wfile.write(ExportTraceServiceResponse().SerializeToString())

    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- as the base class has it
        """Say nothing."""


@contextmanager
def collecting() -> Iterator[Collector]:
    with Collector() as collector:
        thread = Thread(target=collector.serve_forever, args=[0.05])
        thread.start()
        try:
            yield collector
        finally:
            collector.shutdown()
            thread.join()
