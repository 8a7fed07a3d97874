"""A change is checked before it is stored: all that is wrong with it at once, each with its place."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeostat.config.change_faults import BODIES, ChangeError, change_faults, check_change
from homeostat.config.load import load_app, parse_app
from homeostat.config.remedies import RebuildBody, keys_of
from homeostat.config.starter import starter
from homeostat.records.change_rows import BODY_BYTES_MAX, NAME_CHARS_MAX, REASON_CHARS_MAX
from homeostat.records.changes import Change, ChangeKind

APP = load_app("payments")
K = ChangeKind


def change(kind, scope, body):
    return Change(kind, scope, body, "ann", "why")


RIGHT = [
    (K.DEPLOY, "champion", {"version": "ab12"}), (K.DEPLOY, "canary", {"version": "ab12", "share": 0.05}),
    (K.THRESHOLD, "block", {"at": 0.9}), (K.THRESHOLD, "challenge", {"at": 1}),
    (K.CALIBRATION, "risk", {"shift": -0.5}), (K.CALIBRATION, "risk", {"shift": 1, "scale": 2.0}),
    (K.RULE, "large", {"when": "amount > 500 and customer in trusted_customers", "action": "block"}),
    (K.RULE, "absurd_amount", {"when": "amount > 9", "action": "allow", "reason": "it was too low", "priority": 7}),
    (K.RULE, "absurd_amount", {"off": True}), (K.LIST, "trusted_customers", {"entries": []}),
    (K.LIST, "trusted_customers", {"entries": [7, "x", {"key": "y", "since": "2026-01-01", "until": "2027-01-01"}]}),
    (K.LEARNING, "policy", {"on": False}), (K.FALLBACK, "app", {"action": "challenge"}),
    (K.FUSION, "app", {"name": "learned"}), (K.STATE, "policy", {"position": 7, "sha256": "0" * 64}),
    (K.REPAIR, "field:amount", {"op": "convert", "factor": 0.01, "offset": 1, "where": "terminal in (1, 'b')"}),
    (K.REPAIR, "field:amount", {"op": "map", "from": "total"}),
    (K.REPAIR, "field:amount", {"op": "impute", "value": 12}), (K.REPAIR, "field:amount", {"op": "mask"}),
    (K.REPAIR, "time", {"op": "shift", "by": "-2h", "where": "terminal == 7"}),
    (K.REPAIR, "source", {"op": "drop_copies", "within": "1h", "by": ["customer", "terminal", "amount"]}),
    (K.QUARANTINE, "labels", {}), (K.QUARANTINE, "labels", {"from": "2026-01-01"}),
    (K.QUARANTINE, "account:mule 17", {"where": "customer == 'C-17'", "from": "2026-01-01T12:00:00Z"}),
    (K.LATENESS, "app", {"lateness": "6h"}), (K.SHED, "app", {"scorers": ["network"]}),
    (K.RATE, "customer", {"count": 5, "per": "1h", "action": "challenge", "where": "amount > 3 and risk > 0.1"}),
    (K.RANDOM, "block", {"low": 0.4, "high": 0.9}), (K.REBUILD, "windows", {}),
    *((kind, scope, None) for kind, scope in ((K.THRESHOLD, "block"), (K.RULE, "large"), (K.DEPLOY, "champion"))),
]  # fmt: skip

WRONG = [
    (K.DEPLOY, "chempion", {"version": ""}, {"scope": "champion", "body.version": None}),
    (K.DEPLOY, "champion", {"version": "a", "share": 0.1}, {"body.share": None}),
    (K.DEPLOY, "canary", {"version": 7, "share": 0}, {"body.version": '"7"', "body.share": None}),
    (K.THRESHOLD, "blok", {"at": 1.5, "two": 1}, {"scope": "block", "body.at": None, "body.two": None}),
    (K.THRESHOLD, "block", {}, {"body": None}),
    (K.THRESHOLD, "block", {"at": True}, {"body.at": None}),
    (K.THRESHOLD, "block", {"at": "0.5"}, {"body.at": None}),
    (K.CALIBRATION, "risks", {"scale": 0}, {"scope": "risk", "body.scale": None}),
    (K.RULE, "Large", {"off": True}, {"scope": None}),
    (K.RULE, "absurd_amuont", {"off": True}, {"scope": "absurd_amount"}),
    (K.RULE, "absurd_amount", {"off": False}, {"body.off": None}),
    (K.RULE, "large", {"when": "amuont > 1 and x", "action": "blok", "since": "soon"},
     {"body.when": "amount", "body.action": "block", "body.since": None}),
    (K.RULE, "large", {"when": "amount", "action": "block"}, {"body.when": None}),
    (K.RULE, "large", {"action": "block", "reazon": "?"}, {"body": None, "body.reazon": "reason"}),
    (K.RULE, "large", {"name": "other", "when": "amount > 1", "action": "block"}, {"body.name": None}),
    (K.LIST, "trusted", {"entries": 7}, {"scope": None, "body.entries": "[7]"}),
    (K.LIST, "trusted_customers", {"entries": [{"key": "a", "until": "x"}]}, {"body.entries[0].until": None}),
    (K.LEARNING, "polcy", {"on": 1}, {"scope": "policy", "body.on": None}),
    (K.LEARNING, "policy", {"on": True}, {"body.on": None}), (K.LEARNING, "fusion", {"on": True}, {"body.on": None}),
    (K.FALLBACK, "app", {"action": "blok"}, {"body.action": "block"}),
    (K.FUSION, "app", {"name": "no name"}, {"body.name": "no_name"}),
    (K.STATE, "policy", {"position": -1, "sha256": "x"}, {"body.position": None}),
    (K.STATE, "policy", {"position": 1, "sha256": "x"}, {"body.sha256": None}),
    (K.REPAIR, "amount", {"op": "mask"}, {"scope": None}),
    (K.REPAIR, "field:amuont", {"op": "mask"}, {"scope": "amount"}),
    (K.REPAIR, "field:amount", {"op": "shift", "by": "1h"}, {"body.op": None}),
    (K.REPAIR, "field:amount", {"op": "konvert"}, {"body.op": "convert"}),
    (K.REPAIR, "field:amount", {"factor": 2}, {"body": None}),
    (K.REPAIR, "field:amount", {"op": "convert", "factor": 0, "ofset": 1}, {"body.ofset": "offset"}),
    (K.REPAIR, "field:amount", {"op": "convert", "factor": 0}, {"body.factor": None}),
    (K.REPAIR, "field:amount", {"op": "convert", "factor": 2, "where": "terminall == 1"}, {"body.where": "terminal"}),
    (K.REPAIR, "field:amount", {"op": "mask", "where": "amount"}, {"body.where": None}),
    (K.REPAIR, "field:amount", {"op": "map", "values": {"a": "b"}}, {"body.values": None}),
    (K.REPAIR, "field:amount", {"op": "map", "from": "TX_AMOUNT"}, {"body.from": None}),
    (K.REPAIR, "field:amount", {"op": "map", "from": "x", "where": "amount > 1"}, {"body.where": None}),
    (K.REPAIR, "field:amount", {"op": "impute", "value": "x"}, {"body.value": None}),
    (K.REPAIR, "field:amount", {"op": "impute", "value": -1}, {"body.value": None}),
    (K.REPAIR, "time", {"op": "mask"}, {"body.op": None}),
    (K.REPAIR, "time", {"op": "shift", "by": 7}, {"body.by": "7s"}),
    (K.REPAIR, "source", {"op": "drop_copies", "within": "0s", "by": ["amount"]}, {"body.within": None}),
    (K.REPAIR, "source", {"op": "drop_copies", "within": "1h", "by": ["amuont"]}, {"body.by": "amount"}),
    (K.QUARANTINE, "source:pos", {}, {"body.where": None}), (K.QUARANTINE, "others", {}, {"scope": None}),
    (K.QUARANTINE, "labels", {"from": "soon", "were": "x"}, {"body.were": "where"}),
    (K.QUARANTINE, "labels", {"from": "soon"}, {"body.from": None}),
    (K.QUARANTINE, "segment:a", {"where": "risk > 1"}, {"body.where": None}),
    (K.LATENESS, "apps", {"lateness": "long"}, {"scope": None, "body.lateness": None}),
    (K.SHED, "app", {"scorers": ["netwerk"]}, {"body.scorers": "network"}),
    (K.SHED, "app", {"scorers": ["boosted", "network", "forest", "rules"]}, {"body.scorers": None}),
    (K.RATE, "custmer", {"count": 1, "per": "1h", "action": "blok"}, {"scope": "customer", "body.action": "block"}),
    (K.RATE, "customer", {"count": 0, "per": "1h", "action": "block"}, {"body.count": None}),
    (K.RANDOM, "block", {"low": 0.9, "high": 0.4}, {"body.high": None}),
    (K.RANDOM, "blok", {"low": 0.1, "high": 0.4}, {"scope": "block"}),
    (K.REBUILD, "app", {}, {"scope": None}), (K.REBUILD, "windows", {"now": 1}, {"body.now": None}),
]  # fmt: skip


def test_a_fusion_that_a_change_switched_to_may_learn():
    learning, switched = change(K.LEARNING, "fusion", {"on": True}), change(K.FUSION, "app", {"name": "adaptive"})
    assert change_faults(learning, APP) and not change_faults(learning, APP, [switched])
    assert change_faults(change(K.LEARNING, "policy", {"on": True}), APP, [switched])


@pytest.mark.parametrize(("kind", "scope", "body"), RIGHT)
def test_a_right_change_has_no_fault(kind, scope, body):
    for app in (APP, None):
        assert change_faults(change(kind, scope, body), app) == []


@pytest.mark.parametrize(("kind", "scope", "body", "expected"), WRONG)
def test_every_fault_is_found_with_its_place_and_what_was_meant(kind, scope, body, expected):
    with pytest.raises(ChangeError) as caught:
        check_change(change(kind, scope, body), APP)
    found = {}
    for fault in caught.value.faults:
        found[fault.path] = found.get(fault.path) or fault.nearest
    assert {path: found.get(path, "no fault") for path in expected} == expected, str(caught.value)
    assert str(caught.value).count("\n") == len(caught.value.faults)


def test_every_kind_has_a_body_and_every_key_a_description():
    assert set(BODIES) == set(ChangeKind) == {kind for kind, _, _ in RIGHT}
    for form in (form for forms in BODIES.values() for form in forms):
        assert form.model_fields or form is RebuildBody
        assert all(field.description for field in form.model_fields.values())
    assert {field.name for field in fields(Change)} >= {"kind", "scope", "body"}


def test_a_rule_may_name_what_other_changes_brought():
    off = change(K.RULE, "large", {"off": True})
    assert [fault.path for fault in change_faults(off, APP)] == ["scope"]
    large = change(K.RULE, "large", {"when": "amount > 500", "action": "block"})
    assert change_faults(off, APP, [large]) == []
    entries = change(K.LIST, "trusted_customers", {"entries": ["a"]})
    asks = change(K.RULE, "asks", {"when": "customer in trusted_customers", "action": "allow"})
    assert change_faults(asks, APP, [large, entries]) == []


def test_an_app_has_only_so_many_rules():
    many = [change(K.RULE, f"r{k}", {"when": "amount > 1", "action": "block"}) for k in range(61)]
    (fault,) = change_faults(change(K.RULE, "more", {"when": "amount > 1", "action": "block"}), APP, many)
    assert fault.path == "scope" and "at most 64 rules" in fault.message


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)
keys = sorted({key for forms in BODIES.values() for form in forms for key in keys_of(form)} | {"when", "since", "key"})
ANY = parse_app(starter())
SCOPES = ["app", "risk", "policy", "block", "field:value", "time", "source", "labels", "segment:x", "windows"]


@pytest.mark.long
@given(st.sampled_from(list(ChangeKind)), st.text(max_size=10) | st.sampled_from(SCOPES),
       st.dictionaries(st.sampled_from(keys) | st.text(max_size=5), values, max_size=4))  # fmt: skip
def test_any_body_is_right_or_wrong_in_words(kind, scope, body):
    for app in (ANY, None):
        for fault in change_faults(change(kind, scope, body), app):
            assert fault.message and fault.path and "\n" not in fault.message


def test_the_page_names_every_kind_and_every_key_of_its_body():
    page = (Path(__file__).parents[2] / "docs" / "settings.md").read_text("utf-8")
    for kind, forms in BODIES.items():
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{kind}` |")]
        assert all(f'"{key}"' in row for form in forms for key in keys_of(form)), kind
    bounds = page[page.index("its bounds") :]
    assert str(NAME_CHARS_MAX) in bounds and f"{REASON_CHARS_MAX:,}" in bounds and BODY_BYTES_MAX == 1 << 20
