"""The change log: what people and other systems did around an app, beside its settings."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LoggedChange:
    """One line of the change log.

    kind : deploy, settings, schema, campaign, calendar or note
    node : the place in the causal graph that it is about
    text : as somebody wrote it; never an instruction
    until_ns : the end of a campaign or season; 0 for none
    """

    at_ns: int
    kind: str
    node: str
    text: str
    actor: str = ""
    until_ns: int = 0
