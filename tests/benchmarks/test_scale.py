"""The page on scale says what its figures give, and the model behaves as its words say."""

from __future__ import annotations

import doctest
import json
from dataclasses import replace

import pytest

from benchmarks import scale, scale_model

FOUND = json.loads(scale.FIGURES.read_text("utf-8"))
MODEL = scale_model.Model(FOUND)


def test_examples_hold():
    assert doctest.testmod(scale).failed == 0


def test_the_page_is_what_its_figures_give():
    page = scale.PAGE.read_text("utf-8")
    assert scale.filled(page, FOUND) == page, "run `python -m benchmarks.scale --write docs/scale.md`"


def test_every_table_is_on_the_page_and_has_rows_of_one_width():
    page = scale.PAGE.read_text("utf-8")
    for name, rows in scale.TABLES.items():
        assert f"<!-- table: {name} -->" in page
        assert len({len(row) for row in rows(MODEL)}) == 1, name


def test_other_figures_give_another_page():
    page = scale.PAGE.read_text("utf-8")
    dearer = {**FOUND, "runs": {"1": {**FOUND["runs"]["1"], "worker_cpu_us": 480.0}}}
    assert scale.filled(page, dearer) != page
    assert scale.filled(scale.filled(page, dearer), FOUND) == page


def test_processors_and_bytes_grow_with_the_load():
    for of in (MODEL.workers, MODEL.kept, MODEL.journal):
        assert of(1e7) == pytest.approx(1000 * of(1e4), rel=0.5)
    assert MODEL.cores(1e8, "kafka") == pytest.approx(
        3 * scale_model.Model(FOUND, replace(MODEL.assumed, copies=1)).cores(1e8, "kafka"), rel=0.01
    )


def test_a_worker_reads_what_others_wrote_until_the_windows_hold_no_more():
    customer, terminal = MODEL.entities
    assert MODEL.read_bytes(customer, 1) == 0
    assert MODEL.read_bytes(customer, 2) == terminal.row_bytes
    assert MODEL.read_bytes(customer, 10**6) == terminal.retained * terminal.row_bytes
    assert MODEL.read_bytes(terminal, 10**6) > MODEL.read_bytes(customer, 10**6)


def test_the_fewest_workers_that_never_forget_are_found():
    for rate in (0.3, 300.0, 10_000.0):
        count = MODEL.workers_for_memory(rate)
        room = MODEL.assumed.memory_mb * 2**20
        assert MODEL.remembered(rate, count) <= room and MODEL.anew_bytes(rate, count) == 0
        assert count == 1 or MODEL.remembered(rate, count - 1) > room


def test_a_worker_that_forgets_reads_anew_what_fills_its_memory():
    rate, workers = 300.0, 10
    seconds = MODEL.forgets_s(rate, workers)
    room = MODEL.assumed.memory_mb * 2**20
    assert MODEL.remembered(rate, workers, seconds) == pytest.approx(room)
    read = MODEL.anew_bytes(rate, workers) * MODEL.mean(rate) / workers * seconds
    sizes = [entity.row_bytes for entity in MODEL.entities]
    rows = room / FOUND["memory"]["worker_row"]
    assert min(sizes) * rows <= read <= max(sizes) * rows


def test_no_decision_reads_more_than_the_whole_logs_of_its_entities():
    much = [MODEL.anew_bytes(rate, 1) for rate in (0.3, 3.0, 30.0, 300.0, 30_000.0)]
    assert much == sorted(much) and much[0] == 0
    assert much[-1] == pytest.approx(MODEL.whole_logs, rel=0.01) and max(much) <= MODEL.whole_logs


def test_workers_are_enough_for_what_they_read_anew():
    for rate in (300.0, 1e4, 1e7):
        us = [
            FOUND["runs"]["1"]["worker_cpu_us"] + MODEL.anew_bytes(rate, count) / 1e3 * MODEL.anew.worker_us_kb
            for count in (MODEL.workers(rate), MODEL.workers(rate) - 1)
            if count
        ]
        needed = [rate * each * 1e-6 / MODEL.assumed.busy for each in us]
        assert needed[0] <= MODEL.workers(rate) and all(each > MODEL.workers(rate) - 1 for each in needed[1:])


def test_shorter_windows_need_less_memory():
    needed = [MODEL.kept(1e4, days) for days in (150.0, 30.0, 1.0)]
    assert needed == sorted(needed, reverse=True)


def test_what_breaks_first_stands_first():
    rates = [rate for _, rate in scale_model.breaking(MODEL)]
    assert rates == sorted(rates) and len(rates) >= 8


def test_the_list_on_the_page_is_in_the_order_of_its_table():
    order = [name for name, _ in scale_model.breaking(MODEL)]
    listed = [
        "one customer", "worker, memory", "Redis, memory", "worker, one core, where", "PostgreSQL, volume",
        "worker, one core", "Kafka, 8 cores", "Redis, the one core", "PostgreSQL, WAL",
    ]  # fmt: skip
    bare = [name for name in order if "read again" not in name]  # The one that is listed stands first of its kind.
    at = [next(name for name in (order if "where" in start else bare) if name.startswith(start)) for start in listed]
    places = [order.index(name) for name in at]
    assert places == sorted(places), f"the list under `What breaks first` should say: {order}"


def test_figures_are_taken_from_the_pipeline_benchmark():
    parts = ("worker", "Kafka", "Redis", "PostgreSQL")
    printed = {f"processor time of {part}": 10.0 + place for place, part in enumerate(parts)}
    printed["decisions of one worker"] = 12_345.678
    bench = {"figures": [{"part": "pipeline", "name": name, "value": value} for name, value in printed.items()]}
    run = scale.taken(FOUND, bench, "now")["runs"]["1"]
    assert (run["rate"], run["worker_cpu_us"], run["postgres_cpu_us"]) == (12_345.7, 10.0, 13.0)
    assert run["redis_in_bytes"] == FOUND["runs"]["1"]["redis_in_bytes"]
    with pytest.raises(KeyError):
        scale.taken(FOUND, {"figures": []}, "now")
