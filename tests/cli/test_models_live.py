"""A promotion while an engine decides on the same folder."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from homeostat import load
from homeostat.cli import main
from homeostat.engine.assembly import prepare, shipped_bundle
from homeostat.engine.engine import Engine
from homeostat.models.bundle import load_bundle, save_bundle

pytestmark = pytest.mark.long


def payment(identity: str) -> dict[str, object]:
    return {"event_id": identity, "time": "2026-01-30T12:00:00Z", "customer": 1, "terminal": 2, "amount": 50.0}


@contextmanager
def deciding(engine: Engine) -> Iterator[list[dict[str, Any]]]:
    """Decide without a pause, in a thread that nobody else decides in, while the block runs; the answers."""
    answers: list[dict[str, Any]] = []
    stopping = threading.Event()

    def run() -> None:
        while not stopping.is_set():
            answers.append(engine.decide(payment(f"busy {len(answers)}")))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        while not answers:
            thread.join(0.01)
        yield answers
    finally:
        stopping.set()
        thread.join()


def test_an_engine_that_decides_takes_a_promotion_and_a_rollback(tmp_path: Path, capsys) -> None:
    shipped = shipped_bundle(prepare("payments").app)
    assert shipped is not None
    bundle, data = load_bundle(shipped), tmp_path / "data"
    fusion = bundle.parts["fusion"]
    higher = replace(fusion, settings={**fusion.settings, "base": float(fusion.settings["base"]) + 4.0})
    alarmed = save_bundle(replace(bundle, parts={**bundle.parts, "fusion": higher}), tmp_path / "alarmed")

    def models(*words: str) -> dict[str, object]:
        with pytest.raises(SystemExit) as ended:
            main(["models", *words, "--data", str(data), "--json"])
        printed = capsys.readouterr()
        assert not ended.value.code, printed.err
        return json.loads(printed.out)

    assert models("import", str(tmp_path / "alarmed"))["version"] == alarmed
    with load("payments", data=data) as engine, deciding(engine) as answers:
        promoted = models("promote", "1", "--reason", "it sees more")
        back = models("rollback", "--reason", "too much")
        models("promote", "1", "--reason", "after all")
    assert promoted["waiting"] == back["waiting"] == {} and len(promoted["processes"]) == len(back["processes"]) == 1
    assert back["version"] is None
    order = [answer["settings"] for answer in answers]
    assert order == sorted(order) and set(order) >= {0, 1, 2}
    for answer in answers:
        assert answer["version"].endswith(alarmed) == (answer["settings"] in (1, 3))
    risks = {number: [answer["risk"] for answer in answers if answer["settings"] == number] for number in (0, 1)}
    assert min(risks[1]) > min(risks[0])
    with load("payments", data=data) as engine:  # The champion decides from the start on.
        assert engine.decide(payment("4"))["version"].endswith(alarmed)
