"""`homeostat gate stop`, `resume` and `state`: the kill switch of loop 2, for all processes at once."""

from __future__ import annotations

from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from homeostat.cli.failures import CommandError
from homeostat.cli.options import Json
from homeostat.cli.version_stores import Actor, Config, Data, actor_of, worded

if TYPE_CHECKING:
    from homeostat.records.statements import Statement

Reason = Annotated[str, Parameter(help="Why, for those who look later.")]


def stop(*, reason: Reason, actor: Actor = None, data: Data = None, config: Config = None, json: Json = False) -> None:
    """Turn the kill switch on: from now on nothing is done without a person, by any process of the app.

    Actions that are in force stay, and are still verified and taken back where they fail. Plans that a person approves
    are carried out.
    """
    _turn(True, reason, actor, data, config, json)


def resume(
    *, reason: Reason, actor: Actor = None, data: Data = None, config: Config = None, json: Json = False
) -> None:  # fmt: skip
    """Turn the kill switch off again. Where the app file says `stop: true`, that goes on to hold."""
    _turn(False, reason, actor, data, config, json)


def state(*, data: Data = None, config: Config = None, json: Json = False) -> None:
    """Show whether the kill switch is on, since when, by whom and why."""
    from homeostat.cli.statements import statements_of
    from homeostat.engine.gate_record import GateRecord

    with statements_of(data, config) as store:
        _print(GateRecord(store).switch(), json)


def _turn(on: bool, reason: str, actor: str | None, data: Path | None, config: Path | None, json: bool) -> None:
    from homeostat.cli.statements import statements_of
    from homeostat.engine.gate_record import GateRecord
    from homeostat.maintain.gate.answers import same_person
    from homeostat.ports.incidents import LOOP

    worded(reason)
    who = actor_of(actor)
    if same_person(who, LOOP):
        raise CommandError(f"{LOOP} can't turn its own kill switch: a person does, by --actor NAME")
    with statements_of(data, config) as store:
        try:
            made = GateRecord(store).turn(on, who, reason)
        except ValueError as error:
            raise CommandError(str(error)) from error
    _print(made, json)


def _print(last: Statement | None, json: bool) -> None:
    from homeostat.engine.gate_record import shown_switch

    found = shown_switch(last)
    if json:
        print(dumps(found))
    elif last is None:
        print("the kill switch is off: nobody has touched it")
    else:
        word = "on" if found["stopped"] else "off"
        print(f"the kill switch is {word} since {found['at']}, by {last.actor}: {last.text}")
