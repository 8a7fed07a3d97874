"""Headers that every response carries, and what keeps secrets out of responses and logs."""

from __future__ import annotations

import logging
import re

# An answer from here is data: no browser should run, frame, cache or guess it, whatever an event's text says.
SECURE = (
    ("x-content-type-options", "nosniff"),
    ("cache-control", "no-store"),
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    ("referrer-policy", "same-origin"),
)
ENCRYPTED = (("strict-transport-security", "max-age=31536000"),)  # A year; only ever sent over TLS.
_SECRET = re.compile(r"hs_([0-9a-f]{12})_\w+")


def masked(text: str) -> str:
    """A text without the secrets of API keys; their ids stay, so that one can tell which was meant.

    >>> masked("there is no /hs_0123456789ab_c0ffee")
    'there is no /hs_0123456789ab_...'
    """
    return _SECRET.sub(r"hs_\1_...", text) if "hs_" in text else text


class Masking(logging.Filter):
    """Takes secrets out of what is logged, tracebacks included."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, masked."""
        record.msg, record.args = masked(record.getMessage()), ()
        if record.exc_info and not record.exc_text:
            record.exc_text = masked(logging.Formatter().formatException(record.exc_info))
        return True


def mask_logs() -> None:
    """Mask what the loggers of the server say."""
    for name in ("homeostat", "uvicorn.error", "uvicorn.access", "asyncio"):
        logger = logging.getLogger(name)
        if not any(isinstance(found, Masking) for found in logger.filters):
            logger.addFilter(Masking())
