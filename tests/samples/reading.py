"""Files that earlier versions wrote, for tests: see the README of each folder."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

FORMAT1 = Path(__file__).parent / "format1"


def unpacked(name: str, into: Path) -> Path:
    """A folder as version 0.1.0 left it."""
    folder = into / name
    with tarfile.open(FORMAT1 / f"{name}.tar.gz") as tar:
        tar.extractall(folder, filter="data")
    return folder


def answered(folder: Path) -> dict[str, dict[str, Any]]:
    """That version's answer for each event, by its id; the first answer counts."""
    found: dict[str, dict[str, Any]] = {}
    for line in (folder / "answers.jsonl").read_text().splitlines():
        said = json.loads(line)
        for one in said if isinstance(said, list) else [said]:
            if "action" in one:
                found.setdefault(one["event_id"], one)
    return found
