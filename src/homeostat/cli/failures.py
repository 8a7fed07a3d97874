"""A command that can't do what it was asked."""

from __future__ import annotations

from homeostat.errors import HomeostatError


class CommandError(HomeostatError):
    """A command can't do what it was asked; the text says why and what to do."""

    why = "the command was called with what does not fit together"
    remedy = "Call the command as its --help says"


def expected() -> tuple[type[Exception], ...]:
    """The error types whose text is written for the person at the terminal; any other is a fault of this program."""
    return (HomeostatError, OSError)
