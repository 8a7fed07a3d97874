"""An app of hosts whose metrics come in lines, and a clock that tests set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

APP = """homeostat: 1
app: hosts
events:
  id: {name: id}
  time: {name: time}
  lateness: 1m
  entities: {host: {}}
  fields:
    idle: {type: number, required: false, min: 0}
    used: {type: number, required: false}
    up: {type: boolean, required: false}
features:
  windows: [{entity: host, lengths: [1h], compute: {used_mean: mean(used)}}]
scorers: {rules: {kind: rules, rules: [{name: busy, when: idle < 5, score: 0.9}]}}
fusion: {kind: weighted}
actions: [ok, alert]
policy: {kind: thresholds}
costs: {ok: {positive: 1, negative: 0}, alert: {positive: 0, negative: 1}}
guards: {fallback: {scorers_absent: ok}}
metrics:
  step: 10s
  lateness: 5s
  entity: {host: host}
  fields:
    idle: {measurement: cpu, field: usage_idle, tags: {cpu: cpu-total}}
    used: mem.used_percent
    up: up.value
"""
SECOND_NS = 10**9
T0_NS = 1_700_000_000 * SECOND_NS  # A multiple of the step.


def hosts_file(folder: Path) -> Path:
    """The app as a file."""
    path = folder / "hosts.yaml"
    path.write_text(APP)
    return path


@dataclass
class Hands:
    """A clock whose hands a test moves."""

    at_ns: int = T0_NS

    def now_ns(self) -> int:
        return self.at_ns

    def monotonic_ns(self) -> int:
        return self.at_ns

    def forward(self, seconds: float) -> None:
        self.at_ns += round(seconds * SECOND_NS)
