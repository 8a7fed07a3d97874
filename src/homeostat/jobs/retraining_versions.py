"""The versions that retraining makes, finds in the registry, and judges."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from homeostat.config.load import load_app
from homeostat.config.retraining import Retrain
from homeostat.errors import HomeostatError, Unavailable
from homeostat.jobs.bundling import meaning_of
from homeostat.jobs.exporting import Read
from homeostat.jobs.judging import NoCosts, judged
from homeostat.jobs.registering import register
from homeostat.jobs.retraining_record import ACTOR
from homeostat.jobs.retraining_traffic import Traffic
from homeostat.jobs.retraining_tuning import exported, study_folder
from homeostat.jobs.shadow_places import Place
from homeostat.jobs.training_run import TrainingRequest, train_on_events
from homeostat.jobs.tuning_space import with_settings
from homeostat.models.bundle import load_bundle
from homeostat.models.deployments import deployed_at, deployments
from homeostat.models.judgement import Evidence
from homeostat.models.training_set import Progress
from homeostat.ports import Clock
from homeostat.ports.registry import Version
from homeostat.records.verdicts import Verdict

LIBRARY, TRAINED, TUNED = "library", "trained", "tuned"


@dataclass(frozen=True, slots=True)
class Found:
    """A version; source : library, trained or tuned; why : in words."""

    version: str
    source: str
    why: str


class Versions:
    """See the module."""

    def __init__(
        self, app: str | Path, matures_ns: int, place: Place, clock: Clock, progress: Progress, data: Path | None = None
    ) -> None:
        """app : the app file
        matures_ns : the age at which its outcomes count
        progress : hears how far it is
        data : the folder that keeps studies; None on servers
        """
        self._app, self._matures_ns, self._place = app, matures_ns, place
        self._clock, self._progress, self._data = clock, progress, data

    def trained(self, journal: Read, from_ns: int | None, until_ns: int, reason: str, number: int) -> Found:
        """Train on what the journal holds, and register the version; the one that was registered so before, if any.

        The settings that a tuning found for the champion go on, unless the app file has changed what they are about.

        until_ns : the moment of training; from_ns : events since then teach
        reason : of this round, kept in the lineage
        number : of the round
        Raises NothingToLearn, BundleError, MissingExtra, Unavailable and other HomeostatErrors of training.
        """
        before = self._registered(reason)
        if before is not None:
            return Found(before.version, TRAINED, f"trained as version {before.number}")
        app, study = load_app(self._app), self._study()
        kept = study.get("settings") is not None and study.get("meaning") == meaning_of(app)
        with TemporaryDirectory(prefix="homeostat-retraining-") as scratch:
            folder = Path(scratch)
            request = self._request(journal, folder, from_ns, until_ns)
            report = train_on_events(
                with_settings(app, study["settings"]) if kept else app, request,
                lambda what, share: self._progress(what, 0.2 + 0.8 * share), about={"study": study} if kept else None,
            )  # fmt: skip
            made = self._register(request, reason)
        facts = f"{report['rows']:,} rows, {report['positives']:,} of them positive"
        settings = ", with the settings of the champion's tuning" if kept else ""
        return Found(made.version, TRAINED, f"trained as version {made.number} on {facts}{settings}")

    def tuned(self, journal: Read, from_ns: int | None, until_ns: int, reason: str, number: int) -> Found:
        """Search for better settings on what the journal holds, and register the best, as `trained` does.

        A search that was killed goes on with its trials, in a data folder.
        Raises NoneFits too, where no trial keeps the constraints.
        """
        before = self._registered(reason)
        if before is not None:
            return Found(before.version, TUNED, f"tuned as version {before.number}")
        # Optuna is there where something is tuned.
        from homeostat.jobs.tuning import TuningRequest, tune_on_events
        from homeostat.jobs.tuning_report import write_study

        with study_folder(self._data, number) as folder:
            request = self._request(journal, folder, from_ns, until_ns)
            search = TuningRequest(request, str(folder / "study.db"), carried=True)
            found = tune_on_events(
                self._app, search, lambda what, share: self._progress(what, 0.2 + 0.8 * share), lambda sentence: None
            )
            write_study(found, folder)
            made = self._register(request, reason)
            shutil.rmtree(request.out)
        best, hand = found.report["best"], found.report["hand_made"]
        metric = str(found.report["metric"]).replace("_", " ")
        own = "" if hand is None else f", {hand:.4g} with the settings of the app file"
        trials = f"{found.report['trials']} trials"
        return Found(
            made.version, TUNED, f"tuned as version {made.number}: {metric} {best['value']:.4g} in {trials}{own}"
        )

    def _registered(self, reason: str) -> Version | None:
        """The version that this round has registered already."""
        for one in self._place.registry.versions(limit=20):
            lineage = one.lineage
            if (lineage.actor, lineage.reason) == (ACTOR, reason) and one.deleted_ns is None:
                return one
        return None

    def _study(self) -> Mapping[str, Any]:
        """The study behind the settings of the champion; empty where it has none."""
        champion = deployed_at(self._place.settings, self._clock.now_ns()).version
        study = None if champion is None else self._place.registry.get(champion).lineage.metrics.get("study")
        return study if isinstance(study, Mapping) else {}

    def _request(self, journal: Read, folder: Path, from_ns: int | None, until_ns: int) -> TrainingRequest:
        """The journal as files, and a bundle to be made of them."""
        files = exported(journal, folder, lambda what, share: self._progress(what, 0.2 * share))
        events, outcomes, decisions = (files / f"{name}.parquet" for name in ("events", "outcomes", "decisions"))
        apart = outcomes if _rows(outcomes) else None
        return TrainingRequest(events, folder / "bundle", until_ns, from_ns, apart, decisions)

    def _register(self, request: TrainingRequest, reason: str) -> Version:
        place = self._place
        return register(
            place.registry, place.settings, self._app, request.out, request.events, request.until_ns, ACTOR, reason
        )

    def of_library(self, traffic: Traffic, retrain: Retrain, reason: str) -> Found | None:
        """The recent version that surely beats the champion on the newest events; None where none does.

        Each version has its share of the probability of an error. Versions that do not fit the app are left out.
        """
        names = self._recent(retrain.library, reason)
        best: tuple[float, Found] | None = None
        since_ns = traffic.newest_ns - retrain.validation - self._matures_ns
        for at, name in enumerate(names):
            self._progress(f"judges version {name}", at / len(names))
            try:
                found = self._evidence(name, "replay", traffic, retrain, since_ns, retrain.alpha / len(names))
            except Unavailable:
                raise
            except HomeostatError:  # Of another form than the app has now, damaged, or without costs to judge by.
                continue
            saves = 0.0 if found.verdict is not Verdict.PASS or found.low is None else found.low
            if saves > (0.0 if best is None else best[0]):
                best = saves, Found(name, LIBRARY, f"version {name} of the library: {found.why}")
        return None if best is None else best[1]

    def judged(self, version: str, source: str, traffic: Traffic, retrain: Retrain) -> tuple[Verdict, str]:
        """The verdict on a version beside the champion, on events that came after its training. Raises Unavailable."""
        try:
            found = self._evidence(version, source, traffic, retrain, None, retrain.alpha)
        except NoCosts as error:
            return Verdict.INCONCLUSIVE, str(error)
        return found.verdict, found.why

    def _evidence(
        self, version: str, source: str, traffic: Traffic, retrain: Retrain, since_ns: int | None, alpha: float
    ) -> Evidence:
        taught_ns = load_bundle(self._place.registry.fetch(version)).about.get("until_ns")
        begins = max(int(taught_ns) + 1 if taught_ns is not None else 0, since_ns or 0)
        return judged(
            self._app, self._place, version, "shadow" if source == "shadow" else "replay", self._progress,
            alpha=alpha, margin=retrain.margin, since_ns=begins, after=traffic.entry_before(begins),
        ).evidence  # fmt: skip

    def _recent(self, most: int, reason: str) -> list[str]:
        """The last champions and the last registered versions, without the champion of now and this round's own."""
        if most == 0:
            return []
        champion = deployed_at(self._place.settings, self._clock.now_ns()).version
        known = {
            one.version: one for one in self._place.registry.versions(limit=4 * most)
            if one.deleted_ns is None and one.lineage.reason != reason
        }  # fmt: skip
        past = [one.version for one in deployments(self._place.settings, limit=4 * most) if one.version is not None]
        names = dict.fromkeys([*past, *known])
        return list(islice((name for name in names if name != champion and name in known), most))


def _rows(path: Path) -> int:
    import pyarrow.parquet as pq

    return int(pq.read_metadata(path).num_rows)
