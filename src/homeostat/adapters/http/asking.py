"""Asks a server and reads its answer line by line: bounded, without redirects, and without a secret in any text."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from urllib.parse import urlencode

from homeostat.errors import HomeostatError, Unavailable

LINE_BYTES_MAX = 64 << 20
_REASON_BYTES = 500


class Unreadable(HomeostatError):
    """A store refuses a question, or gives an answer that can't be read; the text has its words."""

    why = "the address, the query or the rights are not what the store expects"
    remedy = "Correct what the text names"


@dataclass(frozen=True, slots=True)
class Asking:
    """How a server is asked. Its text shows no header.

    host, port, tls : where it is
    headers : of every question
    name : of the server, for people
    """

    host: str
    port: int
    tls: bool
    name: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout_s: float = 60.0

    def lines(self, method: str, path: str, asked: Mapping[str, str], body: bytes | None = None) -> Iterator[bytes]:
        """The lines of an answer, as they come.

        asked : the parameters of the address
        Raises Unavailable; Unreadable.
        """
        where = f"{self.name} at {self.host}:{self.port}"
        try:
            with closing(self._connection()) as connection:
                connection.request(method, f"{path}?{urlencode(asked)}" if asked else path, body, dict(self.headers))
                answer = connection.getresponse()
                if answer.status != 200:
                    said = " ".join(answer.read(_REASON_BYTES).decode("utf-8", "replace").split())
                    text = f"{where} answers {answer.status}" + (f": {said}" if said else "")
                    raise (Unavailable if answer.status >= 500 or answer.status == 429 else Unreadable)(text)
                while line := answer.readline(LINE_BYTES_MAX):
                    if len(line) == LINE_BYTES_MAX:
                        raise Unreadable(f"{where} sends a line of more than {LINE_BYTES_MAX >> 20} MB: ask for less")
                    yield line
                if answer.length:  # A cut connection ends the lines early, and raises nothing here.
                    raise Unavailable(f"{where} ended its answer early")
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(f"{where} can't be reached: {error}") from None

    def _connection(self) -> http.client.HTTPConnection:
        if not self.tls:
            return http.client.HTTPConnection(self.host, self.port, timeout=self.timeout_s)
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(self.host, self.port, timeout=self.timeout_s, context=context)
