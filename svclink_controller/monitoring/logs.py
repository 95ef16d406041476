"""The format of log lines: one line per event, with time, level and fields, on standard error."""

from __future__ import annotations

import logging
import sys
from typing import Final, Literal, TypeAlias

import structlog

from svclink_controller.monitoring.log_throttle import LogThrottle

LogFormat: TypeAlias = Literal["console", "json"]
LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]

_LEVELS: Final[dict[LogLevel, int]] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


def configure(log_format: LogFormat = "console", level: LogLevel = "info") -> None:
    """Log to standard error, as text (colored on a terminal) or as JSON."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            LogThrottle(),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *_renderers(log_format),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def _renderers(log_format: LogFormat) -> list[structlog.typing.Processor]:
    """Renderers without rich's tracebacks, which print local variables such as tokens."""
    if log_format == "json":
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    plain = structlog.dev.plain_traceback
    return [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]


def take_in_libraries() -> None:
    """Format the log lines and warnings of libraries like svclink's own."""
    logging.captureWarnings(capture=True)
    logging.basicConfig(handlers=[_Forward()], level=logging.WARNING)


class _Forward(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger()
        log.log(record.levelno, record.getMessage(), library=record.name, exc_info=record.exc_info)
