"""`homeostat gate audit`: counts what loop 2 did without being allowed to, from outside of it."""

from __future__ import annotations

import sys
from dataclasses import asdict
from json import dumps

from homeostat.cli.failures import CommandError
from homeostat.cli.options import Json
from homeostat.cli.plan_stores import AppName, answering_of
from homeostat.cli.version_stores import Config, Data


def audit(*, app: AppName = None, data: Data = None, config: Config = None, json: Json = False) -> None:
    """Count unauthorised actions, from the changes of the settings and the record of people's words.

    It does not ask the gate. It ends with 1 where a change was allowed neither by a person's approval on record nor by
    a ruling that the app's limits, as they are declared now, bear out.
    """
    from homeostat.engine.gate_record import GateRecord
    from homeostat.engine.unauthorised import count
    from homeostat.records.times import time_text

    if app is None:
        raise CommandError("whose limits? Give --app, a shipped app or an app file")
    with answering_of(app, data, config) as stores:
        changes = stores.settings.since(0)
        words = GateRecord(stores.statements).of_people()
        found = count(changes, words, stores.plans.ruled(0, 10_000), stores.spec)
    if json:
        wrong = [{**asdict(one), "at": time_text(one.at_ns)} for one in found.unauthorised]
        shown = {"changes": len(changes), "steps": found.steps, "approved": found.approved, "unauthorised": wrong}
        print(dumps(shown))
    else:
        for one in found.unauthorised:
            print(f"change {one.number} at {time_text(one.at_ns)} by {one.actor}: {one.why}")
        print(
            f"{len(changes)} changes, {found.steps} steps of plans among them, {found.approved} approved by people: "
            f"{len(found.unauthorised)} unauthorised"
        )
    if found.unauthorised:
        sys.exit(1)
