"""Which errors are told in a sentence instead of a traceback."""

from __future__ import annotations


class CommandError(Exception):
    """A command can't do what it was asked; the text says why and what to do."""


def expected() -> tuple[type[Exception], ...]:
    """The error types whose text is written for the person at the terminal."""
    from homeostat.adapters.disk.audit.trail import AuditError
    from homeostat.adapters.disk.event_lines import EventFileError
    from homeostat.adapters.journals.entries import JournalError
    from homeostat.app import NotTrained
    from homeostat.config.faults import AppFileError
    from homeostat.decide.scorers.plugins import PluginError
    from homeostat.models.bundle import BundleError
    from homeostat.models.training.extras import BadSetting, TrainingUnavailable
    from homeostat.models.training_set import NothingToLearn
    from homeostat.ports import Unavailable
    from homeostat.records.parts import PartError
    from homeostat.serve.tls import TlsError

    return (
        CommandError, AppFileError, AuditError, BadSetting, BundleError, EventFileError, JournalError,
        NothingToLearn, PartError, TrainingUnavailable, NotTrained, PluginError, TlsError, Unavailable, OSError,
    )  # fmt: skip
