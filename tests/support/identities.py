"""A small app whose ids and keys are texts, a stream of its events, and hashes that are too weak to tell them apart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from homeostat.records.identity import Coding

APP = """
homeostat: 1
app: texts
events:
  entities:
    customer: {}
    terminal: {}
    visit: {of: [customer, terminal]}
  fields:
    amount: {type: number}
    channel: {type: category, values: [web, shop, phone]}
  label: {name: fraud}
  lateness: 10s
features:
  windows:
    - entity: customer
      lengths: [1h]
      compute:
        count: count
        sum: sum(amount)
        terminals: distinct(terminal)
    - entity: visit
      lengths: [1h]
      compute: {visits: count}
    - entity: terminal
      lengths: [1h]
      delay: 1m
      compute: {frauds: sum(fraud)}
  derived:
    special: terminal == 't-3' or terminal in ('t-1', 't-9') or channel == 'phone'
scorers:
  rules: {kind: rules, rules: [{name: many, when: count > 3, score: 0.4}]}
fusion: {kind: weighted}
actions: [allow, challenge, block]
costs:
  allow: {positive: amount, negative: "0"}
  challenge: {positive: amount * 0.2, negative: "0.5"}
  block: {positive: "0", negative: "5"}
policy: {kind: thresholds}
guards:
  lists:
    denied: {of: customer, entries: [c-2, {key: c-5, since: "2026-01-30T12:01:00Z"}]}
  rules:
    - {name: denied, when: customer in denied, action: block, priority: 9}
    - {name: literal, when: terminal == 't-4' and customer != 'c-1', action: challenge}
  fallback: {scorers_absent: allow, policy: thresholds}
outcomes: {label: fraud, delay: 1m, horizon: 1d}
"""
START = 1_769_774_400


def app_file(folder: Path) -> str:
    path = folder / "texts.yaml"
    path.write_text(APP)
    return str(path)


def stream(count: int = 120) -> list[dict[str, Any]]:
    """Events of seven customers at five terminals, some repeated."""
    events = [
        {
            "event_id": f"id-{k}", "time": START + 2 * k, "customer": f"c-{k % 7}", "terminal": f"t-{k * k % 5}",
            "amount": k % 11, "channel": ("web", "shop", "phone")[k % 3],
        }
        for k in range(count)
    ]  # fmt: skip
    return [*events[:40], *events[20:30], *events[40:]]


def outcomes(count: int = 40) -> list[dict[str, Any]]:
    return [{"event_id": f"id-{k}", "fraud": k % 2, "time": START + 2 * k + 1} for k in range(0, count, 3)]


def lived(open_engine) -> dict[str, tuple]:
    """The results of an engine with the stream and its outcomes, restarted in the middle, and its later answers."""
    sent, answers = stream(), []
    with open_engine() as engine:
        for start in range(0, 50, 10):
            answers += engine.decide(sent[start : start + 10])
        assert all("accepted" in receipt for receipt in engine.learn(outcomes()))
    with open_engine() as engine:
        for start in range(50, len(sent), 7):
            answers += engine.decide(sent[start : start + 7])
        found = {}
        for event, answer in zip(sent, answers, strict=True):
            assert answer.get("event_id") == event["event_id"], answer
            decisions, row = engine.find(event["event_id"])
            assert decisions.events.id_text(row) == event["event_id"]
            found[event["event_id"]] = (
                answer["action"], answer["rule"], answer["risk"], decisions.features.values[row].tobytes(),
            )  # fmt: skip
        assert sum(bool(answer.get("duplicate")) for answer in answers) == 10
        assert engine.find("id-nobody") is None and engine.decision("c-1") is None
    return found


def one_code_for_all(monkeypatch) -> None:
    """Texts share one code; only their checks tell them apart."""
    strong = Coding._digests

    def weak(coding: Coding, texts: Sequence[str]) -> bytes:
        return b"".join(bytes(8) + strong(coding, (text,))[8:] for text in texts)

    monkeypatch.setattr(Coding, "_digests", weak)


def one_hash_for_all(monkeypatch) -> None:
    """Texts share one code and one check."""
    monkeypatch.setattr(Coding, "_digests", lambda coding, texts: bytes([*bytes(8), 7, *bytes(7)]) * len(texts))
