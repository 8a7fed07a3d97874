"""`homeostat audit verify`."""

from __future__ import annotations

import sys
from dataclasses import asdict
from json import dumps
from pathlib import Path

from cyclopts import App

from homeostat.cli.options import Json

audit = App(name="audit", help="Verify the audit chain", help_format="plaintext")


@audit.command
def verify(file: Path, /, *, head: str | None = None, json: Json = False) -> None:
    """Check that nothing in an audit file was edited, deleted or cut off.

    Exits 0 only if the chain is whole and, where a report.json or a checkpoint lies beside it, complete.

    Parameters
    ----------
    file
        The audit.jsonl to check.
    head
        The hash that the chain must end in, kept elsewhere.
    json
        Print the result as JSON.
    """
    from homeostat.adapters.audit_verification import verify_beside

    result = verify_beside(file, head)
    if json:
        print(dumps(asdict(result)))
    elif result.ok:
        print(f"{file}: whole, {result.entries} entries, head {result.head}")
    else:
        print(f"{file}: {result.why}", file=sys.stderr)
    sys.exit(0 if result.ok else 1)
