"""Makes the bundle that the wheel carries for the infra app, from the metrics of a simulated data centre."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from homeostat.adapters.disk.sqlite.journal import SqliteJournal
from homeostat.adapters.process.clock import SystemClock
from homeostat.app import Ports, build, untrained
from homeostat.engine.assembly import Prepared
from homeostat.jobs.bundling import meaning_of
from homeostat.jobs.infra.deciding import BATCH_ROWS, events_of
from homeostat.jobs.simulated import SECOND_NS
from homeostat.jobs.training import Collector, train
from homeostat.models.bundle import Bundle
from homeostat.models.training_set import Progress
from homeostat.sim.infra.world import DAY_S, InfraSpec, generate_infra


@dataclass(frozen=True, slots=True)
class InfraRecipe:
    """The training data of the infra app's bundle. Same recipe, same app, same library versions: same bundle.

    history_days : only fill the windows
    faults : in the days that are learned from, since the metrics of any user hold some
    """

    seed: int = 4115
    hosts: int = 12
    history_days: int = 8
    training_days: int = 4
    faults: int = 8

    def spec(self) -> InfraSpec:
        """The data centre that is simulated."""
        days = self.history_days + self.training_days
        return InfraSpec(hosts=self.hosts, days=days, faults=self.faults, quiet_days=self.history_days)


def make_infra_bundle(prepared: Prepared, recipe: InfraRecipe, progress: Progress) -> Bundle:
    """Simulate, run everything through the app's windows, and train without outcomes."""
    progress("simulating", 0.0)
    collector = collect_infra(prepared, recipe)
    bundle = train(prepared, collector, progress, recipe.seed)
    made_of = {"recipe": asdict(recipe), "trains": meaning_of(prepared.app)}
    return replace(bundle, about={**bundle.about, **made_of})


def collect_infra(prepared: Prepared, recipe: InfraRecipe) -> Collector:
    """The rows to learn from, with their features as the windows serve them."""
    app, spec = prepared.app, recipe.spec()
    from_s, until_s = spec.start_s + recipe.history_days * DAY_S, spec.start_s + spec.days * DAY_S
    collector = Collector.of(app, from_s * SECOND_NS, until_s * SECOND_NS, apart=False)
    infra = generate_infra(spec, recipe.seed)
    with SqliteJournal(":memory:", app=app.app, secret=prepared.coding.secret) as journal:
        loop = build(
            app, prepared.features, untrained(app), Ports(journal, SystemClock(), prepared.coding, bounded=False)
        )
        for start in range(0, len(infra), BATCH_ROWS):
            batch = events_of(infra, slice(start, min(len(infra), start + BATCH_ROWS)))
            collector.add(batch, loop.absorb(batch))
        loop.close()
    return collector
