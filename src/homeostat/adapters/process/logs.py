"""Log lines on standard error: for people, or (`--log json`, HOMEOSTAT_LOG=json) one JSON object a line.

All log records pass one place, the handler: also what libraries log, tracebacks, and `extra`. There, passwords
in addresses, keys and tokens are left out.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

from homeostat.adapters.process.printable import printable
from homeostat.ports import Unavailable

Kind = Literal["text", "json"]
KINDS = ("text", "json")
HIDDEN = "..."
_BAR = "  | "
_OWN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
_LIBRARIES = ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi")
# Names under which secrets go about, in settings, in headers and in queries.
_NAMES = (
    r"(?:[\w.-]{0,40}(?:password|passwd|passphrase|secret|token|credential|api[_-]?key|private[_-]?key)|authorization)"
)
_SECRET_NAME = re.compile(_NAMES, re.IGNORECASE)
_PATTERNS = (
    # A password in an address: everything up to the last @ before the path, since a careless one may hold an @.
    (re.compile(r"(\b[a-z][a-z0-9+.-]{0,30}://[^\s:/?#@]*):[^\s/?#]*@", re.IGNORECASE), rf"\1:{HIDDEN}@"),
    (re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]{6,}", re.IGNORECASE), rf"\1 {HIDDEN}"),
    (re.compile(rf"({_NAMES}[\"']?\s*[=:]\s*)(?!(?:bearer|basic)\b)(?:\"[^\"]*\"|'[^']*'|[^\s,;&\"')}}]+)", re.I),
     rf"\1{HIDDEN}"),
    (re.compile(r"\bhs_([0-9a-f]{12})_\w+"), rf"hs_\1_{HIDDEN}"),
)  # fmt: skip


def redacted(text: str) -> str:
    """A text without the secrets in it, as far as they can be recognised.

    >>> redacted("can't reach postgresql://app:hunter2@db:5432/x with password=hunter2, sasl.password: 'a b'")
    "can't reach postgresql://app:...@db:5432/x with password=..., sasl.password: ..."
    """
    for pattern, instead in _PATTERNS:
        text = pattern.sub(instead, text)
    return text


def _plain(name: str, value: object) -> object:
    """A value as JSON can say it, without secrets."""
    if _SECRET_NAME.fullmatch(name):
        return HIDDEN
    if isinstance(value, bool | int | type(None)):
        return value
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(str(key), item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain("", item) for item in value]
    return redacted(str(value))


def _extra(record: logging.LogRecord) -> dict[str, object]:
    return {
        name: _plain(name, value)
        for name, value in record.__dict__.items()
        if name not in _OWN and not name.startswith("_") and name != "color_message"
    }


class TextLines(logging.Formatter):
    """`homeostat: the message (name=value)`; level and logger where they are not the usual.

    Each record is one line, whatever is in its texts, and the lines of its traceback begin with a bar: nothing that a
    client sends can pass for a line of ours.
    """

    def format(self, record: logging.LogRecord) -> str:
        """One line, and a traceback below it where there is one."""
        where = "" if record.name == "homeostat" else f"{record.name}: "
        level = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        members = " ".join(f"{name}={value}" for name, value in _extra(record).items())
        message = redacted(record.getMessage()).rstrip("\n")
        line = printable(f"homeostat: {level}{where}{message}" + (f" ({members})" if members else ""))
        trace = printable(redacted(_traceback(record)), lines=True)
        return "\n".join([line, *(f"{_BAR}{one}" for one in trace.split("\n"))]) if trace else line


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message, what is always the same, and every `extra`.

    always : app, worker; empty values are left out
    """

    def __init__(self, always: Mapping[str, str]) -> None:
        super().__init__()
        self._always = {name: value for name, value in always.items() if value}

    def format(self, record: logging.LogRecord) -> str:
        """The object, in ASCII, so that no text can break the line."""
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds")
        members: dict[str, object] = {
            "time": moment.replace("+00:00", "Z"), "level": record.levelname.lower(), "logger": record.name,
            "message": redacted(record.getMessage()), **self._always,
        }  # fmt: skip
        for name, value in _extra(record).items():
            members[f"extra_{name}" if name in members else name] = value
        parent = members.get("traceparent")
        if isinstance(parent, str) and len(parent) >= 35:
            members.setdefault("trace_id", parent[3:35])
        if record.exc_info and record.exc_info[0] is not None:
            members["error"] = {
                "type": record.exc_info[0].__name__, "message": redacted(str(record.exc_info[1])),
                "stack": redacted(_traceback(record)),
            }  # fmt: skip
        return json.dumps(members)


def _traceback(record: logging.LogRecord) -> str:
    if record.exc_info and record.exc_info[0] is not None:
        return "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
    return (record.exc_text or "").rstrip("\n")


def configure(
    kind: str | None = None,
    *,
    app: str = "",
    worker: str = "",
    environ: Mapping[str, str] | None = None,
    stream: TextIO | None = None,
) -> logging.Logger:
    """Let everything that this process logs go to standard error; returns homeostat's own logger.

    kind : text or json; HOMEOSTAT_LOG when absent, else text
    HOMEOSTAT_LOG_LEVEL says from which level on homeostat's own lines are shown (info); libraries' from warning on.
    Raises Unavailable for a kind or a level that there is none of.
    """
    known: Mapping[str, Any] = os.environ if environ is None else environ
    chosen = kind or known.get("HOMEOSTAT_LOG") or "text"
    level = logging.getLevelNamesMapping().get((known.get("HOMEOSTAT_LOG_LEVEL") or "info").upper())
    if chosen not in KINDS:
        raise Unavailable(
            f"there are logs in {' and '.join(KINDS)}, not in {chosen[:40]!r}: see --log and HOMEOSTAT_LOG"
        )
    if level is None:
        raise Unavailable("HOMEOSTAT_LOG_LEVEL is debug, info, warning, error or critical")
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines({"app": app, "worker": worker}) if chosen == "json" else TextLines())
    root, own = logging.getLogger(), logging.getLogger("homeostat")
    for earlier in [one for one in root.handlers if isinstance(one.formatter, JsonLines | TextLines)]:
        root.removeHandler(earlier)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    own.setLevel(level)
    for name in _LIBRARIES:  # They bring handlers of their own, which would write beside this one, and in another form.
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
    logging.captureWarnings(True)
    return own
