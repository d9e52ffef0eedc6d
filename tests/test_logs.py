"""Log lines carry time, level and request id, as text or as JSON, and no values of SQL statements."""

import json
import logging
import re
from collections.abc import Callable

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from api.metrics import Metrics
from api.middleware import RequestContextMiddleware
from recsys.errors import StoreError
from recsys.logs import REQUEST_ID, JsonFormatter, LineFormatter
from recsys.store.sessions import connect
from recsys.store.writing import Writer

Formatters = Callable[[], logging.Formatter]
BOTH = pytest.mark.parametrize("formatter", [LineFormatter, JsonFormatter])


def record(message: str, *, error: Exception | None = None) -> logging.LogRecord:
    trace = (type(error), error, error.__traceback__) if error else None
    return logging.LogRecord("recsys.x", logging.WARNING, "x.py", 1, "%s", (message,), trace)


def failed(url: str, secret: str) -> Exception:
    """The error of a write that repeats a key, with a value that nobody must see in a log."""
    writer = Writer(connect(url, for_writes=True))
    statement = text("INSERT INTO users (user_id, created) VALUES (:user, '2026-01-01')")

    def insert_twice(connection: Connection) -> None:
        for _ in range(2):
            connection.execute(statement, {"user": secret})

    try:
        writer.run(insert_twice)
    except StoreError as error:
        return error
    finally:
        writer.close()
    raise AssertionError("a key was stored twice")


def test_a_line_says_when_how_bad_and_for_which_request() -> None:
    token = REQUEST_ID.set("5f2b")
    line = LineFormatter().format(record("away"))
    REQUEST_ID.reset(token)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z WARNING \[5f2b\] recsys\.x: away", line)


def test_json_has_one_object_a_line() -> None:
    entry = JsonFormatter().format(record("away\nfake line", error=ValueError("x\ny")))
    assert "\n" not in entry
    assert json.loads(entry).keys() == {"time", "level", "logger", "request_id", "message", "exception"}


def test_what_others_wrote_begins_no_line() -> None:
    assert "\n" not in LineFormatter().format(record("away\n2026-01-01 ERROR [-] forged"))


@BOTH
def test_no_value_of_a_statement_is_logged(database_url: str, formatter: Formatters) -> None:
    error = failed(database_url, "secret-user")
    assert isinstance(error.__cause__, SQLAlchemyError)
    line = formatter().format(record("lost", error=error))
    assert "users" in line
    assert "secret-user" not in line
    assert "secret-user" not in str(error)


def test_what_is_logged_at_work_on_a_request_has_the_id_of_its_answer() -> None:
    client = TestClient(RequestContextMiddleware(_log_a_line, metrics=Metrics()))
    first, second = client.get("/"), client.get("/")
    assert f"[{first.headers['X-Request-ID']}]" in first.text
    assert f"[{second.headers['X-Request-ID']}]" in second.text


async def _log_a_line(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse(LineFormatter().format(record("at work")))(scope, receive, send)
