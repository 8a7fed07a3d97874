"""Which errors are told in a sentence instead of a traceback."""

from __future__ import annotations


class CommandError(Exception):
    """A command can't do what it was asked; the text says why and what to do."""


def expected() -> tuple[type[Exception], ...]:
    """The error types whose text is written for the person at the terminal."""
    from homeostat.config.faults import AppFileError
    from homeostat.ports import Unavailable

    return (CommandError, AppFileError, Unavailable, FileNotFoundError, PermissionError, IsADirectoryError)
