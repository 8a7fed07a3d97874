"""Runs: which fault, when, how severe, with which decoy and noise; all of it drawn from scenario and seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from homeostat.sim.faults.fault import Act, LogEntry, Scenario, Truth
from homeostat.sim.faults.innocent import DECOYS, decoy, mild_shift
from homeostat.sim.faults.scene import Form, Frame, Scene
from homeostat.sim.faults.suite import SUITE
from homeostat.sim.faults.traffic import DAY_NS, HOUR_NS, Traffic

EARLY_NS = DAY_NS
"""No part of a run differs from its seed's quiet world earlier than this before the onset."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the drill.

    onset_ns : the same for all scenarios of a seed, 0 where nothing happens
    decoy : the kind of an innocent change in the log, or nothing
    noise_ns : when a mild and harmless shift begins; 0 for none
    """

    scenario: Scenario
    seed: int
    frame: Frame
    onset_ns: int
    severity: int
    decoy: str
    noise_ns: int

    @property
    def fork_ns(self) -> int:
        """The moment up to which it is its seed's quiet world."""
        return onset_of(self.seed, self.frame) - EARLY_NS


@dataclass(frozen=True, slots=True)
class Laid:
    """A run, laid out: everything that will happen to the world.

    traffic : from the beginning of the quiet past on
    truths : one a fault
    """

    run: Run
    traffic: Traffic
    truths: tuple[Truth, ...]
    acts: tuple[Act, ...]
    log: tuple[LogEntry, ...]


def onset_of(seed: int, frame: Frame) -> int:
    """The onset of a seed's faults, on a whole hour of days 5 to 12, or of as early a part of a shorter run."""
    drawn = float(np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 5]))).random())
    first, last = (5.0, 12.0) if frame.days >= 14 else (frame.days * 0.4, frame.days * 0.6)
    return frame.start_ns + int((first + drawn * (last - first)) * 24) * HOUR_NS


def run_of(scenario_id: str, seed: int, frame: Frame) -> Run:
    """The run of a scenario and a seed. Severities take turns over the seeds."""
    scenario = SUITE[scenario_id]
    entropy = np.random.SeedSequence([seed, int(scenario_id[1:]), 7])
    rng = np.random.Generator(np.random.PCG64(entropy))
    severity = (seed + int(scenario_id[1:])) % 3 + 1
    has_decoy, kind, has_noise = rng.random() < 0.5, str(rng.choice(DECOYS)), rng.random() < 0.25
    onset = onset_of(seed, frame)
    noise = onset + int((rng.random() * 4 - 0.9) * 24) * HOUR_NS if has_noise else 0
    return Run(scenario, seed, frame, onset if scenario.faults else 0, severity, kind if has_decoy else "", noise)


def lay_out(run: Run, quiet: Traffic, form: Form) -> Laid:
    """Everything that happens in a run: the quiet traffic under its faults, its decoy and its noise.

    quiet : of the seed, from the beginning of the quiet past on
    """
    number, onset = int(run.scenario.id[1:]), onset_of(run.seed, run.frame)
    traffic, acts, log, truths = quiet, [], [], []
    if run.noise_ns:
        scene = Scene.drawn(form, run.frame, run.noise_ns, 1, run.seed + 1, [run.seed, number, 11], part=1)
        traffic = mild_shift(traffic, scene)
    for part, fault in enumerate(run.scenario.faults):
        entropy = [run.seed, number, 13 + part]
        scene = Scene.drawn(form, run.frame, onset, run.severity, run.seed + 2, entropy, part=2 + part)
        traffic = fault.happen(traffic, scene)
        acts += fault.acts(scene)
        log += fault.log(scene)
        truths.append(fault.truth(scene))
    if run.decoy:
        scene = Scene.drawn(form, run.frame, onset, run.severity, run.seed + 3, [run.seed, number, 19])
        done, said = decoy(scene, run.decoy)
        acts += done
        log += said
    log += [LogEntry(a.at_ns, str(a.effect), "settings", a.logged) for a in acts if a.logged and not run.decoy]
    acts.sort(key=lambda act: act.at_ns)
    log.sort(key=lambda entry: (entry.at_ns, entry.text))
    return Laid(run, traffic, tuple(truths), tuple(acts), tuple(log))
