"""How log lines look: one line an event, with the time, the level and named values, on standard error."""

from __future__ import annotations

import logging
import sys

import structlog


def configure() -> None:
    """Log to standard error, in colour on a terminal."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            # Not rich's tracebacks, which print every local variable: tokens and kubeconfigs are among them.
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            ),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
