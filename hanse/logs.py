"""Logging of a process: lines for people, without what people told us.

A traceback says where something went wrong, and never what the variables held or what a foreign error quotes: a
request's text is personal data, and a log leaves the unit more easily than a table does (`hanse.discreet`).
"""

import logging
import sys

import structlog

from hanse.discreet import DiscreetFormatter, print_uncaught, write_traceback

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure_logging(level: str) -> None:
    """Configure logging of this process, from a level's name on."""
    number = LEVELS.get(level, logging.INFO)
    handler = logging.StreamHandler()
    handler.setFormatter(DiscreetFormatter("%(asctime)s [%(levelname)s] %(name)s: %(message)s"))
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[handler])
    sys.excepthook = print_uncaught
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer(colors=False, exception_formatter=write_traceback),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        cache_logger_on_first_use=True,
    )
