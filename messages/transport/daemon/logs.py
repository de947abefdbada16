"""JSON lines on stderr, or readable ones on a terminal; other libraries' lines in the same form."""

import logging
import sys
from typing import Any, Literal

import structlog

from messages.transport.daemon.lossy_handler import LossyHandler


def configure_logs(service: str, level: str, form: Literal["auto", "json", "console"] = "auto") -> None:
    """Call it once, at the start of a process. Every line names the service."""

    def name_service(_logger: Any, _method: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
        return {"service": service, **line}

    shared: list[structlog.typing.Processor] = [
        name_service,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    as_json = form == "json" or (form == "auto" and not sys.stderr.isatty())
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        cache_logger_on_first_use=True,
    )
    handler = LossyHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *(_JSON if as_json else _CONSOLE)],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())


def take_dropped_lines() -> int:
    """How many log lines of this process were dropped since the last call, because nobody read them."""
    handlers = logging.getLogger().handlers
    return sum(handler.take_dropped() for handler in handlers if isinstance(handler, LossyHandler))


# Tracebacks without local variables, which may hold passwords or customers' data.
_JSON: list[structlog.typing.Processor] = [
    structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False)),
    structlog.processors.JSONRenderer(default=str),
]
_CONSOLE: list[structlog.typing.Processor] = [
    structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
]
