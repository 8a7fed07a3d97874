"""`homeostat init` and `homeostat schema`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from homeostat.cli.failures import CommandError
from homeostat.config.schema import json_schema


def init(path: Path = Path("app.yaml"), /, *, force: bool = False) -> None:
    """Write a commented starter app file that loads and runs as it is.

    Parameters
    ----------
    path
        Where to write it.
    force
        Write over a file that is there.
    """
    from homeostat.config.starter import starter

    if path.exists() and not force:
        raise CommandError(f"{path} exists: choose another name, or say --force to write over it")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(starter(), encoding="utf-8")
    print(f"wrote {path}; next: homeostat doctor {path}", file=sys.stderr)


def schema() -> None:
    """Print the JSON Schema of app files, for editors."""
    print(json.dumps(json_schema(), indent=2))
