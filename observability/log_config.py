"""One log format for every process: JSON lines on standard error, UTC, secrets redacted, text escaped."""

from __future__ import annotations

import atexit
import logging
import re
from collections.abc import MutableMapping
from typing import Any

import structlog

from observability.log_writer import LogWriter, drain

_SECRET_FIELD = re.compile(r"(secret|token|password|signature|api_?key|authorization)", re.IGNORECASE)
_SECRET_IN_TEXT = re.compile(r"((?:signature|apiKey|listenKey|token)=)[^&\s\"']+", re.IGNORECASE)
REDACTED = "***"
#: The descriptor, not the file object, which may be replaced by one that has none.
_STANDARD_ERROR = 2


def redact(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace the values of secret fields, and of secret parameters inside text."""
    for field, value in event.items():
        if _SECRET_FIELD.search(field):
            event[field] = REDACTED
        elif isinstance(value, str):
            event[field] = _SECRET_IN_TEXT.sub(rf"\1{REDACTED}", value)
    return event


def configure(process: str, level: str = "INFO") -> None:
    """Send structlog's and the standard library's records through one JSON renderer.

    ``process`` names the writer in every line. Library loggers that print URLs (and so might print signatures)
    are kept to warnings.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _named(process),
        # Here and not where lines are written: that is another thread, which knows of no exception.
        structlog.processors.format_exc_info,
        redact,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = LogWriter(_STANDARD_ERROR)
    atexit.register(drain)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in ("httpx", "httpcore", "websockets", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _named(process: str) -> structlog.typing.Processor:
    def add(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["process"] = process
        return event

    return add
