"""Log lines with time, level and the id of the request, as text or as JSON. None repeats values of an SQL statement."""

import json
import logging
import re
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Literal

Format = Literal["text", "json"]
REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="-")
"""Of the request at work, in this thread or task."""

VALUES = re.compile(r"^\s*(?:DETAIL|CONTEXT): .*$\n?|^\[parameters: .*$\n?", re.MULTILINE)
"""Lines in which SQLAlchemy and PostgreSQL repeat the values of a statement."""


class LineFormatter(logging.Formatter):
    """`2026-01-31T12:00:00.000Z WARNING [request id] logger: message`, and below it the traceback."""

    def format(self, record: logging.LogRecord) -> str:
        lines = f"{_time(record)} {record.levelname} [{_request_id(record)}] {record.name}: {_message(record)}"
        trace = _trace(self, record)
        return f"{lines}\n{trace}" if trace else lines


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, request_id, message, and exception where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "request_id": _request_id(record),
            "message": _message(record),
        }
        trace = _trace(self, record)
        return json.dumps(entry | ({"exception": trace} if trace else {}), ensure_ascii=False)


def configure(style: Format) -> None:
    """Sends the warnings of the process to standard error, unless somebody else takes them already."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if style == "json" else LineFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("alembic").setLevel(logging.WARNING)


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _request_id(record: logging.LogRecord) -> str:
    return str(getattr(record, "request_id", REQUEST_ID.get()))


def _message(record: logging.LogRecord) -> str:
    """On one line: what others wrote cannot begin a line of its own."""
    return VALUES.sub("", record.getMessage()).strip().replace("\r", "\\r").replace("\n", "\\n")


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    return VALUES.sub("", formatter.formatException(record.exc_info)).rstrip() if record.exc_info else ""
