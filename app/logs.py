"""What the processes write to standard error: lines of text, or one JSON object each."""

import logging
import logging.config

import structlog

from app.config import LogFormat

# By themselves both formats show local variables: keys and secrets, after seconds of rendering.
_TRACEBACKS = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
)


def configure_logs(
    log_format: LogFormat, level: str, *processors: structlog.typing.Processor
) -> None:
    """Write everything that is logged in this process to standard error.

    Each line has `timestamp` (UTC), `level`, `logger` and `event`; within a request also
    `request_id`, and the line of a request itself `method`, `route`, `status`, `duration_ms`, and
    `key` (the id of its API key). ``processors`` add further fields.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        *processors,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[structlog.typing.Processor] = (
        [_TRACEBACKS, structlog.processors.JSONRenderer()]
        if log_format == "json"
        else [
            structlog.dev.ConsoleRenderer(
                colors=False, exception_formatter=structlog.dev.plain_traceback
            )
        ]
    )
    formatter = {
        "()": structlog.stdlib.ProcessorFormatter,
        "foreign_pre_chain": shared,
        "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
    }
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"lines": formatter},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "lines"}},
            "root": {"handlers": ["stderr"], "level": "WARNING"},
            "loggers": {"app": {"level": level}},
        }
    )
