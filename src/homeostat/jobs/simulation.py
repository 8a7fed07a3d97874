"""Writes a simulated world as files: the events, and what later became known of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from homeostat.adapters.disk.event_lines import EventFileError
from homeostat.adapters.disk.event_samples import sample_events
from homeostat.config.load import load_app
from homeostat.jobs.simulated import SECOND_NS, world_of
from homeostat.records.arrays import Bytes, Int
from homeostat.sim.access.traffic import KINDS, AccessSpec, generate_access
from homeostat.sim.infra.centre import METRICS, SERVICES, service_of
from homeostat.sim.infra.world import InfraSpec, generate_infra, some_days
from homeostat.sim.payments.transactions import DAY_S, generate
from homeostat.stats.chance import chances

Format = Literal["parquet", "jsonl", "csv"]
_REPORTED = 300  # The stream of chance by which frauds are reported.
_LINES = 20_000


@dataclass(frozen=True, slots=True)
class World:
    """Events and outcomes, each a table in order of time."""

    events: pa.Table
    outcomes: pa.Table
    positives: int


def simulate_payments(days: int, seed: int, customers: int) -> World:
    """The published world of card payments; nothing is stopped in it. A fraud is reported within the app's delay."""
    payments = generate(world_of(customers, days), seed)
    time_ns, delay_ns = payments.time_s * SECOND_NS, load_app("payments").outcomes.delay
    ids = np.arange(len(payments))
    events = pa.table({
        "event_id": ids,
        "time": _times(time_ns),
        "customer": payments.customer,
        "terminal": payments.terminal,
        "amount": payments.amount,
    })  # fmt: skip
    early = chances(seed + _REPORTED, ids, 1)[:, 0] * (delay_ns - DAY_S * SECOND_NS)
    reported = DAY_S * SECOND_NS + np.floor(early / SECOND_NS).astype(np.int64) * SECOND_NS
    known_ns = time_ns + np.where(payments.fraud == 1, reported, delay_ns)
    return World(events, _outcomes(ids, payments.fraud, known_ns), int(payments.fraud.sum()))


def simulate_access(days: int, seed: int, entities: int) -> World:
    """People, bots and bursts at a service; an hour later it is known what was abuse."""
    share = entities / AccessSpec().people
    bots, bursts = (max(1, round(n * share)) for n in (AccessSpec().bots, AccessSpec().bursts * days))
    accesses = generate_access(AccessSpec(people=entities, bots=bots, bursts=bursts, hours=24 * days), seed)
    ids, time_ns = np.arange(len(accesses)), accesses.time_ms * 1_000_000
    events = pa.table({
        "event_id": ids,
        "entity_id": accesses.entity,
        "event_type": pa.array(np.array(KINDS)[accesses.kind]),
        "value": accesses.value,
        "timestamp": _times(time_ns),
    })  # fmt: skip
    known_ns = time_ns + 3600 * SECOND_NS
    return World(events, _outcomes(ids, accesses.abuse, known_ns), int(accesses.abuse.sum()))


def simulate_infra(days: int, seed: int, hosts: int) -> World:
    """Hosts and services, one event a host and minute; within the app's delay it is known where a fault was."""
    infra = generate_infra(some_days(days, hosts), seed)
    ids, time_ns, delay_ns = np.arange(len(infra)), infra.time_s * SECOND_NS, load_app("infra").outcomes.delay
    runs = [SERVICES[service_of(host)].name for host in range(hosts)]
    events = pa.table({
        "event_id": ids,
        "time": _times(time_ns),
        "host": pa.array(np.array(infra.names)[infra.host]),
        "service": pa.array(np.array(runs)[infra.host]),
        **{name: pa.array(infra.values[:, at], from_pandas=True) for at, name in enumerate(METRICS)},
        "deploying": infra.deploying,
    })  # fmt: skip
    early = chances(seed + _REPORTED, np.maximum(infra.number, 0), 1)[:, 0]  # A fault is understood as a whole.
    known_ns = time_ns + np.where(infra.fault == 1, np.floor(early * delay_ns / SECOND_NS) * SECOND_NS, delay_ns)
    return World(events, _outcomes(ids, infra.fault, known_ns.astype(np.int64)), int(infra.fault.sum()))


class _Known(NamedTuple):
    """A world that can be simulated: (days, seed, how many act), and how many by default."""

    make: Callable[[int, int, int], World]
    usual: int


WORLDS = {
    "payments": _Known(simulate_payments, 1_000), "access": _Known(simulate_access, 1_000),
    "infra": _Known(simulate_infra, InfraSpec().hosts),
}  # fmt: skip


def moved(world: World, until_ns: int) -> World:
    """The same world, moved by whole days so that its last event comes in the 24 hours before an instant."""
    last_ns = pc.max(world.events.column(_time_of(world.events))).cast(pa.int64()).as_py() * 1_000
    days = (until_ns - last_ns) // (DAY_S * SECOND_NS)
    by = pa.scalar(days * DAY_S, pa.duration("s"))

    def table(one: pa.Table) -> pa.Table:
        name = _time_of(one)
        times = pc.add(one.column(name), by).cast(one.schema.field(name).type)
        return one.set_column(one.column_names.index(name), name, times)

    return replace(world, events=table(world.events), outcomes=table(world.outcomes))


def _time_of(table: pa.Table) -> str:
    name: str = next(field.name for field in table.schema if pa.types.is_timestamp(field.type))
    return name


def written_by_others(world: World, out: Path, form: Format) -> Path | None:
    """A file that `write_world` would replace and that holds no simulated world; None where there is none."""
    events, outcomes = out / f"events.{form}", out / f"outcomes.{form}"
    if not events.exists():
        return outcomes if outcomes.exists() else None
    for path, table in ((events, world.events), (outcomes, world.outcomes)):
        try:
            if path.exists() and set(sample_events(path, 1).column_names) != set(table.column_names):
                return path
        except EventFileError:
            return path
    return None


def write_world(world: World, out: Path, form: Format) -> dict[str, Any]:
    """Write `out`/events.<form> and `out`/outcomes.<form>; returns what was written."""
    out.mkdir(parents=True, exist_ok=True)
    written = {}
    for name, table in (("events", world.events), ("outcomes", world.outcomes)):
        path = out / f"{name}.{form}"
        _WRITERS[form](table, path)
        written[name] = {"path": str(path), "rows": table.num_rows, "bytes": path.stat().st_size}
    return written


def _times(time_ns: Int) -> pa.Array:
    return pa.array(time_ns // 1_000, pa.timestamp("us", "UTC"))


def _outcomes(ids: Int, label: Bytes, known_ns: Int) -> pa.Table:
    order = np.lexsort((ids, known_ns))
    return pa.table({
        "event_id": ids[order], "label": label[order].astype(np.int8), "time": _times(known_ns[order]),
    })  # fmt: skip


def _as_text(table: pa.Table) -> pa.Table:
    """Times as ISO 8601 with a Z, which every reader understands."""
    for k, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            texts = np.char.add(np.datetime_as_string(table[k].to_numpy()), "Z")
            table = table.set_column(k, field.name, pa.array(texts))
    return table


def _write_parquet(table: pa.Table, path: Path) -> None:
    pa.parquet.write_table(table, path)


def _write_csv(table: pa.Table, path: Path) -> None:
    pa.csv.write_csv(_as_text(table), path)


def _write_jsonl(table: pa.Table, path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        for batch in _as_text(table).to_batches(max_chunksize=_LINES):
            file.writelines(json.dumps(row) + "\n" for row in batch.to_pylist())


_WRITERS: dict[str, Callable[[pa.Table, Path], None]] = {
    "parquet": _write_parquet, "csv": _write_csv, "jsonl": _write_jsonl,
}  # fmt: skip
