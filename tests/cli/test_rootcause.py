"""`homeostat anomalies rootcause`: the node that stands out comes first."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from homeostat.cli import main


@pytest.mark.parametrize(
    ("target", "cause"), [((), "cart"), (("--target", "front"), "cart"), (("--target", "mail"), None)]
)
def test_the_node_that_uses_more_is_first(tmp_path: Path, target, cause, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(1)
    lines = ["time,node,metric,value"]
    for minute in range(40):
        for node in ("front", "cart", "mail"):
            factor = 3 if node == "cart" and minute >= 34 else 1
            lines.append(f"2026-01-01T00:{minute:02}:00Z,{node},cpu,{factor * rng.normal(20, 1)}")
    metrics, graph = tmp_path / "metrics.csv", tmp_path / "graph.csv"
    metrics.write_text("\n".join(lines) + "\n")
    graph.write_text("caller,callee\nfront,cart\nfront,mail\n")
    with pytest.raises(SystemExit) as end:
        main(["anomalies", "rootcause", str(metrics), "--graph", str(graph), *target, "--json"])
    printed = capsys.readouterr()
    assert end.value.code in (0, None), printed.err
    assert json.loads(printed.out)["ranking"][0]["node"] == cause
