"""Traces for OpenTelemetry, if the operator wants them. Nothing below knows of them."""

import logging
from importlib.util import find_spec
from typing import TYPE_CHECKING

from app.config import Settings
from app.logs import configure_logs

if TYPE_CHECKING:
    from app.tracing.spans import Tracing

_log = logging.getLogger(__name__)


def start_tracing(settings: Settings) -> "Tracing | None":
    """Start to send traces; None where they are off, which costs nothing, imports included.

    Lines of the log have the ids of their trace then.
    """
    if not settings.sends_traces:
        return None
    if find_spec("opentelemetry.sdk") is None or find_spec("opentelemetry.exporter") is None:
        _log.warning("No traces are sent: they need `pip install crossing-status[otel]`.")
        return None
    # Its libraries take long to import.
    from app.tracing.spans import Tracing, add_trace_ids  # noqa: PLC0415

    configure_logs(settings.log_format, settings.log_level, add_trace_ids)
    return Tracing()
