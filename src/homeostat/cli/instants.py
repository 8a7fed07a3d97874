"""Times on the command line."""

from __future__ import annotations

from homeostat.cli.failures import CommandError
from homeostat.config.instants import instant_ns


def instant(text: str | None) -> int | None:
    """An ISO 8601 time as nanoseconds since 1970; without a zone it is UTC."""
    if text is None:
        return None
    try:
        return instant_ns(text)
    except ValueError as error:
        raise CommandError(str(error)) from error
