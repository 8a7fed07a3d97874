"""Maintenance of a data folder computes features again, and notices where others were served."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from functools import partial

import pytest
from tests.support.watched_app import app_file, decide

from homeostat.adapters.disk.sqlite.incidents import SqliteIncidents
from homeostat.adapters.process.clock import SystemClock
from homeostat.app.replaying import WindowReplayer
from homeostat.decide.windows.featurizer import WindowFeaturizer
from homeostat.engine.assembly import prepare
from homeostat.jobs.maintaining import steps
from homeostat.jobs.maintaining.running import Maintaining, Setting
from homeostat.jobs.maintaining.source import source_in
from homeostat.records.events import EventBatch
from homeostat.records.features import Features
from homeostat.records.signals import Kind


@pytest.mark.long
@pytest.mark.parametrize("wrong", [0.0, 3.0])
def test_a_feature_that_was_served_otherwise_than_it_is_computed_is_noticed(tmp_path, monkeypatch, wrong) -> None:
    data, app = tmp_path / "data", app_file(tmp_path)
    decide(data, app, range(30), 1000)
    computed = WindowFeaturizer.features

    def served(self: WindowFeaturizer, events: EventBatch) -> Features:
        found = computed(self, events)
        values = found.values.copy()
        values[:, found.names.index("n")] += wrong
        return replace(found, values=values)

    with monkeypatch.context() as patch:
        patch.setattr(WindowFeaturizer, "features", served)
        decide(data, app, range(30, 42), 1000)
    monkeypatch.setattr(steps, "WindowReplayer", partial(WindowReplayer, share=1.0))
    prepared = prepare(app)
    with closing(SqliteIncidents(data, app="watched")) as store:
        setting = Setting(prepared.app, store, lambda: source_in(data, prepared, store), "one", SystemClock())
        with closing(Maintaining(setting)) as one:
            while not (step := one.turn(last=True)) or not step.at_end:
                pass
        skewed = [kept.signal for kept in store.signals(1000) if kept.signal.series.kind == Kind.SKEW]
    assert {signal.series.node for signal in skewed} == ({"feature:n"} if wrong else set())
    if wrong:
        example = skewed[0].notes["example"]
        assert example["served"] == example["replayed"] + wrong
