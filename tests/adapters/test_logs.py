"""Log lines, and what must never be in them."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeostat.adapters.process.logs import JsonLines, TextLines, configure, redacted
from homeostat.ports import Unavailable


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Where lines go; the loggers are as before afterwards."""
    root, own = logging.getLogger(), logging.getLogger("homeostat")
    before = (list(root.handlers), root.level, own.level)
    yield io.StringIO()
    logging.captureWarnings(False)
    root.handlers[:], own.level = before[0], before[2]
    root.setLevel(before[1])


def lines(stream: io.StringIO) -> list[dict]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_json_line_says_who_when_and_what(stream: io.StringIO) -> None:
    log = configure("json", app="payments", worker="w-1", stream=stream)
    log.info("decided %d", 5, extra={"rows": 5, "lane": "events/3", "trace_id": "ab" * 16})
    (entry,) = lines(stream)
    assert entry.pop("time").endswith("Z")
    assert entry == {
        "level": "info", "logger": "homeostat", "message": "decided 5", "app": "payments", "worker": "w-1",
        "rows": 5, "lane": "events/3", "trace_id": "ab" * 16,
    }  # fmt: skip


def test_a_trace_context_gives_the_trace_id(stream: io.StringIO) -> None:
    log = configure("json", stream=stream)
    log.warning("late", extra={"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"})
    assert lines(stream)[0]["trace_id"] == "4bf92f3577b34da6a3ce929d0e0e4736"


def test_an_exception_is_one_line_too(stream: io.StringIO) -> None:
    log = configure("json", stream=stream)
    try:
        raise ValueError("can't reach redis://:hunter2@10.0.0.1:6379/0")
    except ValueError:
        log.exception("failed")
    (entry,) = lines(stream)
    assert entry["error"]["type"] == "ValueError" and "Traceback" in entry["error"]["stack"]
    assert "hunter2" not in stream.getvalue() and "redis://:...@10.0.0.1" in entry["error"]["message"]


def test_libraries_log_in_the_same_form_and_only_what_matters(stream: io.StringIO) -> None:
    logging.getLogger("uvicorn.error").addHandler(logging.StreamHandler(io.StringIO()))
    configure("json", app="access", stream=stream)
    logging.getLogger("uvicorn.error").error("broken pipe")
    logging.getLogger("kafka").info("chatter")
    assert [(entry["logger"], entry["message"], entry["app"]) for entry in lines(stream)] == [
        ("uvicorn.error", "broken pipe", "access")
    ]


def test_lines_for_people_are_short(stream: io.StringIO) -> None:
    log = configure(stream=stream, environ={})
    log.info("payments decides", extra={"lanes": 6})
    log.error("gone")
    logging.getLogger("redis").warning("slow")
    assert stream.getvalue().splitlines() == [
        "homeostat: payments decides (lanes=6)", "homeostat: error: gone", "homeostat: warning: redis: slow",
    ]  # fmt: skip


def test_the_environment_chooses_unless_the_command_line_does(stream: io.StringIO) -> None:
    configure(environ={"HOMEOSTAT_LOG": "json", "HOMEOSTAT_LOG_LEVEL": "error"}, stream=stream).info("not shown")
    assert stream.getvalue() == ""
    configure("text", environ={"HOMEOSTAT_LOG": "json"}, stream=stream).info("shown")
    assert stream.getvalue() == "homeostat: shown\n"


def test_what_there_is_none_of_is_refused_in_words() -> None:
    with pytest.raises(Unavailable, match="text and json"):
        configure("xml", environ={})
    with pytest.raises(Unavailable, match="HOMEOSTAT_LOG_LEVEL"):
        configure("text", environ={"HOMEOSTAT_LOG_LEVEL": "loud"})


SECRET = "Tr0ub4dor-3x"


@pytest.mark.parametrize(
    "text",
    [
        f"postgresql://app:{SECRET}@db.internal:5432/homeostat?sslmode=require",
        f"rediss://:{SECRET}@cache:6379/0 is away",
        f"redis+cluster://user:p@{SECRET}@cache:6379",
        f"kafka settings {{'sasl.password': '{SECRET}', 'acks': 'all'}}",
        f'{{"password": "{SECRET}", "user": "x"}}',
        f"password={SECRET} host=db",
        f"HOMEOSTAT_SERVERS__KAFKA__PASSWORD={SECRET}",
        f"Authorization: Bearer {SECRET}",
        f"authorization: Basic {SECRET}==",
        f"GET /v1/decide?api_key={SECRET}&x=1",
        f"x-api-key: {SECRET}",
        f"AWS_SECRET_ACCESS_KEY and client_secret={SECRET}; next",
        "the key hs_0123456789ab_" + SECRET.replace("-", "_"),
    ],
)
def test_secrets_are_left_out(text: str) -> None:
    shown = redacted(text)
    assert SECRET not in shown and SECRET.replace("-", "_") not in shown and "..." in shown


@pytest.mark.parametrize(
    "text",
    [
        "kafka://127.0.0.1:9092/payments.events and postgresql://user@127.0.0.1:5432/homeostat",
        "decided 5 events in 3.2 ms at 12:30:45", "see https://example.org/a:b@c", "mail me@example.org: now",
        "the token bucket is empty", "no password is set",
    ],
)  # fmt: skip
def test_what_is_no_secret_stays(text: str) -> None:
    assert redacted(text) == text


@given(st.dictionaries(st.text(min_size=1), st.floats() | st.text() | st.binary() | st.lists(st.integers())), st.text())
def test_any_extra_makes_one_line_of_json(extra: dict, message: str) -> None:
    record = logging.makeLogRecord({"name": "x", "msg": message, "args": (), "levelno": 20, "levelname": "INFO"})
    for name, value in extra.items():
        if name not in record.__dict__:
            record.__dict__[name] = value
    line = JsonLines({"app": "a"}).format(record)
    assert "\n" not in line and json.loads(line)["app"] == "a"


def test_an_extra_that_is_named_like_a_secret_is_left_out(stream: io.StringIO) -> None:
    log = configure("json", stream=stream)
    log.info("x", extra={"sasl_password": SECRET, "settings": {"ssl.key.password": SECRET, "group.id": "g"}})
    assert SECRET not in stream.getvalue()
    assert lines(stream)[0]["settings"] == {"ssl.key.password": "...", "group.id": "g"}


def test_nothing_but_lines_is_written_to_standard_error() -> None:
    code = (
        "import warnings; from homeostat.adapters.process.logs import configure; log = configure('json', app='a');"
        "log.info('one'); warnings.warn('two'); log.error('three\\nlines')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    entry = [json.loads(line) for line in done.stderr.splitlines()]
    assert [item["logger"] for item in entry] == ["homeostat", "py.warnings", "homeostat"] and done.stdout == ""


FORGING = "x\nhomeostat: warning: forged\r\n\x1b[2J\u2028homeostat: again\u202e\x85end"


def test_a_text_of_others_makes_no_line_of_its_own_and_steers_no_terminal(stream: io.StringIO) -> None:
    log = configure("text", stream=stream)
    log.warning("there is no %s", FORGING, extra={"path": FORGING})
    (line,) = stream.getvalue().splitlines()
    assert line.startswith("homeostat: warning: there is no x\\nhomeostat") and line.isprintable()


def test_a_traceback_is_distinguished_from_lines_of_ours(stream: io.StringIO) -> None:
    log = configure("text", stream=stream)
    try:
        raise ValueError(FORGING)
    except ValueError:
        log.exception("failed")
    first, *rest = stream.getvalue().rstrip("\n").split("\n")
    assert first == "homeostat: error: failed" and any("Traceback" in line for line in rest)
    assert all(line.startswith("  | ") and line.isprintable() for line in rest)


@given(st.text(st.characters(codec=None)))
def test_any_text_is_one_line_of_the_log(text: str) -> None:
    record = logging.makeLogRecord({"name": "homeostat", "msg": "%s", "args": (text,), "levelno": logging.INFO})
    assert TextLines().format(record).isprintable()
