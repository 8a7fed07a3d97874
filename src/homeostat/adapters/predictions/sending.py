"""How a target of predictions is used, and what its answers mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from homeostat.adapters.announce.web import post
from homeostat.config.predictions import TargetSettings
from homeostat.records.predictions import Prediction


class Sends(Protocol):
    """One open target, used by one thread."""

    def send(self, predictions: Sequence[Prediction], now_ns: int) -> None:
        """Hand predictions over, in order, so that doing it again changes nothing that can be seen.

        Raises Unavailable where that may go well later; Refused where it never will.
        """
        ...

    def close(self) -> None: ...


def is_final(code: int) -> bool:
    """Whether an answer says that these very predictions will never be taken.

    Wrong keys, a missing database or a redirect are for somebody to mend, and the predictions wait until then.
    """
    return code in (400, 413, 422)


def put(settings: TargetSettings, url: str, body: bytes, headers: Mapping[str, str]) -> None:
    """Post predictions. Raises Unavailable, Refused."""
    where = f"{settings.target.kind} {settings.name}"
    post(url, body, headers, settings.timeout_s, where, is_final)
