"""The cost of more load, computed from measured figures: the tables of docs/scale.md.

    python -m benchmarks.scale [--figures benchmarks/figures/pipeline.json] [--write docs/scale.md]
    python -m benchmarks.pipeline --json > found.json && python -m benchmarks.scale --take found.json

The figures are a JSON object, all numbers per decision unless noted otherwise:

    measured, machine   when and how, and on what, in words
    batch_rows          the largest batch of a worker
    runs                by number of workers: workers, decisions, rate (decisions/s in this run), worker_cpu_us,
                        kafka_cpu_us, redis_cpu_us, postgres_cpu_us (processor time), redis_in_bytes, redis_out_bytes
                        (over the network, as Redis counts them). Run "1" is needed; others are shown beside it.
    bytes               event, decision (as Kafka keeps them), redis_kept (Redis's memory), postgres_wal,
                        postgres_tables: {name: bytes with its indexes}
    shared_reads        measured (in words), out_bytes: {workers: bytes a decision that Redis sent because others wrote}
    memory              worker (bytes of a process), worker_row (bytes in it for each event of an entity it remembers)
    entities            by name, the entity whose key events have in Kafka first: row_bytes (of its log), retained_days
                        (what its windows look back, with lateness and skew), events_a_day (of one key)
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.figures import number, unpacked
from benchmarks.scale_model import DAY_S, NEVER_S, Model, breaking, transactions

HERE = Path(__file__).parent
FIGURES = HERE / "figures" / "pipeline.json"
PAGE = HERE.parent / "docs" / "scale.md"


def measured(model: Model) -> Iterator[Sequence[str]]:
    """The measured figures."""
    runs = model.found["runs"]
    yield ("", *(f"{runs[name]['workers']} worker{'s' * (runs[name]['workers'] > 1)}" for name in runs))
    for name, text in (
        ("rate", "decisions/s in this run"), ("worker_cpu_us", "worker, us of a core a decision"),
        ("kafka_cpu_us", "Kafka, us"), ("redis_cpu_us", "Redis, us"), ("postgres_cpu_us", "PostgreSQL, us"),
        ("redis_in_bytes", "to Redis, bytes a decision"), ("redis_out_bytes", "from Redis, bytes a decision"),
    ):  # fmt: skip
        yield (text, *(number(runs[run][name]) for run in runs))
    blank = [""] * (len(runs) - 1)
    sizes, memory = model.found["bytes"], model.found["memory"]
    yield ("kept by Kafka: event, decision", f"{number(sizes['event'])}, {number(sizes['decision'])} bytes", *blank)
    yield ("kept by Redis, names and room to grow included", f"{number(sizes['redis_kept'])} bytes", *blank)
    yield ("PostgreSQL's WAL", f"{number(sizes['postgres_wal'])} bytes", *blank)
    tables = ", ".join(f"{name} {number(size)}" for name, size in sizes["postgres_tables"].items())
    yield (f"PostgreSQL's tables: {tables}", f"{number(model.table_bytes)} bytes", *blank)
    yield ("a worker's memory", size_text(memory["worker"]), *blank)
    yield ("in a worker, an event of an entity that it remembers", f"{number(memory['worker_row'])} bytes", *blank)
    anew = model.anew
    sizes = f"{number(anew.worker_us_kb)}, {number(anew.redis_us_kb)} us"
    yield ("reading a log again, each kB: worker, Redis", sizes, *blank)
    sizes = f"{number(anew.batch_ms)}, {number(anew.remembered_ms)} ms"
    yield ("features of 1,000 events: logs read again, remembered", sizes, *blank)
    for entity in model.entities:
        text = f"{entity.name}: a row of its log, and how long it is kept"
        yield (text, f"{number(entity.row_bytes)} bytes, {number(entity.retained_days)} days", *blank)


def needs(model: Model) -> Iterator[Sequence[str]]:
    """The needs of each load, by part."""
    loads = model.loads()
    key = model.entities[0]

    def row(text: str, of: Any) -> Sequence[str]:
        return (text, *(of(load.rate) for load in loads))

    yield ("", *(load.name for load in loads))
    yield row("decisions/s, busiest second", number)
    yield row("decisions/s, mean", lambda rate: number(model.mean(rate)))
    yield row("workers, one core each", lambda rate: number(model.workers(rate)))
    yield row("each forgets what it read, and reads it again, every", lambda rate: _span(model, rate))
    yield row("workers that would never forget", lambda rate: number(model.workers_for_memory(rate)))
    yield row("Kafka: partitions of events", lambda rate: number(model.partitions(rate)))
    yield row("Kafka: cores, with copies", lambda rate: number(model.cores(rate, "kafka")))
    per_second = model.found["bytes"]["event"] + model.found["bytes"]["decision"]
    yield row("Kafka: written, with copies", lambda rate: f"{size_text(rate * per_second * model.assumed.copies)}/s")
    yield row(
        "Kafka: kept, with copies",
        lambda rate: size_text(model.mean(rate) * per_second * model.assumed.copies * model.assumed.kafka_days * DAY_S),
    )
    yield row("Kafka: transactions/s", lambda rate: number(transactions(model, rate)))
    yield row("Redis: shards for its processor", lambda rate: number(model.redis_nodes(rate)[0]))
    yield row("Redis: windows' memory", lambda rate: size_text(model.kept(rate)))
    yield row("Redis: shards for its memory", lambda rate: number(model.redis_nodes(rate)[1]))
    yield row(
        "Redis to workers: what others wrote",
        lambda rate: f"{size_text(rate * model.read_bytes(key, model.workers(rate)))}/s",
    )
    yield row(
        "Redis to workers: read again",
        lambda rate: f"{size_text(rate * model.anew_bytes(rate, model.workers(rate)))}/s",
    )
    yield row("PostgreSQL: cores", lambda rate: number(model.databases(rate)[2]))
    yield row("PostgreSQL: WAL", lambda rate: f"{size_text(rate * model.found['bytes']['postgres_wal'])}/s")
    yield row("PostgreSQL: journal", lambda rate: size_text(model.journal(rate)))
    yield row("PostgreSQL: servers for WAL, for volume", lambda rate: ", ".join(map(number, model.databases(rate)[:2])))


def first_to_break(model: Model) -> Iterator[Sequence[str]]:
    """The parts in the order in which one of each is no longer enough."""
    yield ("one of each", "carries, decisions/s in the busiest second")
    for name, rate in breaking(model):
        yield (name, number(rate))


def shared_reads(model: Model) -> Iterator[Sequence[str]]:
    """The reads by workers of what others wrote to Redis, by the entity that keys the events."""
    yield ("events keyed by", "2 workers", "10", "100", "1,000", "at 1,000 workers of 10,000/s")
    for entity in model.entities:
        cells = [f"{number(model.read_bytes(entity, workers))} bytes" for workers in (2, 10, 100, 1000)]
        yield (entity.name, *cells, f"{size_text(1e7 * model.read_bytes(entity, 1000))}/s")


def reads_checked(model: Model) -> Iterator[Sequence[str]]:
    """The measured reads, beside the computed ones."""
    found = model.found["shared_reads"]["out_bytes"]
    yield ("workers", *found)
    yield ("measured, bytes a decision", *map(number, found.values()))
    yield ("computed", *(number(model.read_bytes(model.entities[0], int(workers))) for workers in found))


def by_retention(model: Model) -> Iterator[Sequence[str]]:
    """Redis's memory by how far the windows look back."""
    loads = model.loads()
    yield ("windows look back", *(load.name for load in loads))
    for days, text in ((None, "as the app says"), (30.0, "30 days"), (7.0, "7 days"), (1.0, "1 day")):
        cells = [(model.kept(load.rate, days), model.redis_nodes(load.rate, days)[1]) for load in loads]
        yield (text, *(f"{size_text(size)}, {number(nodes)} node{'s' * (nodes > 1)}" for size, nodes in cells))


def assumptions(model: Model) -> Iterator[Sequence[str]]:
    """The assumptions."""
    yield ("assumed", "")
    yield from model.assumed.said()


TABLES = {
    "measured": measured, "assumed": assumptions, "needs": needs, "breaks": first_to_break, "shared": shared_reads,
    "checked": reads_checked, "retention": by_retention,
}  # fmt: skip


def _span(model: Model, rate: float) -> str:
    seconds = model.forgets_s(rate, model.workers(rate))
    if seconds == NEVER_S:
        return "never"
    return f"{number(seconds / DAY_S)} days" if seconds >= DAY_S else f"{number(seconds / 60)} minutes"


def size_text(size: float) -> str:
    """Bytes with a unit.

    >>> size_text(2_500_000), size_text(512), size_text(1.7e16)
    ('2.50 MB', '512 B', '17.0 PB')
    """
    for unit, length in (("PB", 1e15), ("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= length:
            value = size / length
            return (
                f"{value:,.0f} {unit}"
                if value >= 100
                else f"{value:.1f} {unit}"
                if value >= 10
                else f"{value:.2f} {unit}"
            )
    return f"{size:.0f} B"


def as_markdown(rows: Sequence[Sequence[str]]) -> str:
    """A table whose first row is its head."""
    head, *body = rows
    lines = [f"| {' | '.join(row)} |" for row in (head, ["---", *["---:"] * (len(head) - 1)], *body)]
    return "\n".join(lines)


def filled(page: str, found: Mapping[str, Any]) -> str:
    """The page with its tables made of the figures: what stands between `<!-- table: NAME -->` and `<!-- end -->`.

    Raises KeyError where the page asks for a table that there is none of.
    """
    model = Model(found)

    def table(match: re.Match[str]) -> str:
        name = match[1]
        lines = [as_markdown(list(TABLES[name](model)))]
        if name == "measured":
            lines.append(f"\nMeasured on {found['machine']}; {found['measured']}.")
        return f"<!-- table: {name} -->\n" + "\n".join(lines) + "\n<!-- end -->"

    return re.sub(r"<!-- table: (\w+) -->\n.*?<!-- end -->", table, page, flags=re.DOTALL)


def taken(found: Mapping[str, Any], bench: Mapping[str, Any], when: str) -> dict[str, Any]:
    """The figures with the rate and the processor time that `benchmarks.pipeline --json` printed.

    when : the note about them
    Raises KeyError where the benchmark lacks one.
    """
    printed = {figure.name: figure.value for figure in unpacked(dict(bench))}
    parts = {"worker": "worker", "kafka": "Kafka", "redis": "Redis", "postgres": "PostgreSQL"}
    names = {"rate": "decisions of one worker"}
    names |= {f"{part}_cpu_us": f"processor time of {sizes}" for part, sizes in parts.items()}
    run = {**found["runs"]["1"], **{name: round(printed[sizes], 1) for name, sizes in names.items()}}
    return {**found, "measured": when, "runs": {**found["runs"], "1": run}}


def main() -> None:
    """Print the tables, or write them into a page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--figures", type=Path, default=FIGURES)
    parser.add_argument("--write", type=Path, metavar="PAGE", help="whose tables are to be made again")
    parser.add_argument("--take", type=Path, metavar="FILE", help="renew the figures from the pipeline benchmark's")
    chosen = parser.parse_args()
    found = json.loads(chosen.figures.read_text("utf-8"))
    if chosen.take is not None:
        bench = json.loads(chosen.take.read_text("utf-8"))
        said = f"{'; '.join(bench.get('notes', ()))}; bytes and memory from earlier short runs"
        found = taken(found, bench, said)
        chosen.figures.write_text(json.dumps(found, indent=2) + "\n", "utf-8")
    if chosen.write is not None:
        chosen.write.write_text(filled(chosen.write.read_text("utf-8"), found), "utf-8")
        return
    for name, rows in TABLES.items():
        print(f"{name}\n\n{as_markdown(list(rows(Model(found))))}\n")


if __name__ == "__main__":
    main()
