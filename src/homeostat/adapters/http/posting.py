"""Events to a server of homeostat, as arrays to `/v1/decide`, over connections that are kept."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
from collections import Counter
from collections.abc import Sequence
from urllib.parse import SplitResult

from homeostat.ports.streams import Outgoing

_TIMEOUT_S = 30.0


class EventPoster:
    """Posts events; each of its threads has a connection of its own.

    headers : sent with each request, beside the content type
    """

    def __init__(self, address: SplitResult, headers: Sequence[tuple[str, str]] = (), threads: int = 8) -> None:
        self._address, self.threads = address, threads
        self._path = (address.path if address.path not in ("", "/") else "/v1/decide") + (
            f"?{address.query}" if address.query else ""
        )
        self._headers = {"content-type": "application/json", **dict(headers)}
        self._own, self._lock = threading.local(), threading.Lock()
        self._open: list[http.client.HTTPConnection] = []

    def send(self, messages: Sequence[Outgoing]) -> Counter[str]:
        """Post events as one array; how many were not decided, by reason."""
        body = b"[" + b",".join(one.value for one in messages) + b"]"
        connection = self._connection()
        try:
            connection.request("POST", self._path, body, self._headers)
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            return Counter({f"no answer ({error or type(error).__name__})": len(messages)})
        if answer.status != 200:
            return Counter({f"status {answer.status}": len(messages)})
        return _refused(content, len(messages))

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            for connection in self._open:
                connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        found: http.client.HTTPConnection | None = getattr(self._own, "connection", None)
        if found is None:
            host, port = self._address.hostname or "", self._address.port
            if self._address.scheme == "https":
                context = ssl.create_default_context()
                found = http.client.HTTPSConnection(host, port, timeout=_TIMEOUT_S, context=context)
            else:
                found = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
            self._own.connection = found
            with self._lock:
                self._open.append(found)
        return found


def _refused(content: bytes, count: int) -> Counter[str]:
    """The problems among the answers, by their title."""
    try:
        answers = json.loads(content)
        if not isinstance(answers, list) or len(answers) != count:
            raise ValueError
        return Counter(str(one.get("title", "refused")) for one in answers if "event_id" not in one)
    except (ValueError, AttributeError):
        return Counter({"the answer is none of homeostat's": count})
