"""The output of each stage for a small shop's morning, as text that a person can read.

The app is `shop.yaml`, its events and outcomes in order are `story.jsonl`. Numbers have six significant digits, so that
processors whose arithmetic differs in the last bit write the same.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from homeostat.app import Ports, brain, build
from homeostat.checks.stand_ins import MemoryJournal, ScriptedClock
from homeostat.decide.fusion.adaptive import AdaptiveFusion
from homeostat.decide.fusion.fixed import declared_table
from homeostat.decide.intake.objects import parse_outcomes, read_objects
from homeostat.engine.answers import rule_text
from homeostat.engine.assembly import prepare
from homeostat.records.events import Row
from homeostat.records.features import Freshness
from homeostat.records.times import time_text

HERE = Path(__file__).parent
STAGES = ("intake", "windows", "scorers", "fusion", "policy", "guards", "outcomes", "learning")
_NOW_NS = int(np.datetime64("2026-03-02T16:00:00", "ns").astype(np.int64))
_FRESHNESS = {value: name.lower() for name, value in vars(Freshness).items() if isinstance(value, int)}


def number(value):
    """Six significant digits; - for none."""
    value = float(value)
    return "-" if np.isnan(value) else f"{value + 0.0:.6g}"


def named(names, values):
    return ", ".join(f"{name} {number(value)}" for name, value in zip(names, values, strict=True))


class Story:
    """Plays a story through the loop of an app, and writes down what each stage says."""

    def __init__(self, app, lines):
        prepared = prepare(app)
        self.app, self.schema, self.features = prepared.app, prepared.schema, prepared.features
        scorers = tuple(prepared.app.scorers)
        fusion = AdaptiveFusion(declared_table(scorers, {}, base_rate=0.2), scorers, rate=0.5)
        ready = replace(brain(prepared.app, prepared.features, None), fusion=fusion)
        journal = MemoryJournal()
        ports = Ports(journal, ScriptedClock(_NOW_NS), prepared.coding, bounded=False)
        self.loop = build(prepared.app, prepared.features, ready, ports)
        self.texts = {stage: [] for stage in STAGES}
        self.names = {}
        self._watch()
        for line in lines:
            (kind, item), = json.loads(line).items()  # fmt: skip
            self._event(item) if kind == "event" else self._outcome(item)
        self.loop.close()

    def say(self, stage, text):
        self.texts[stage].append(text)

    def _event(self, item):
        batch, letters, _ = read_objects([item], self.schema, _NOW_NS)
        for letter in letters:
            self.say("intake", f"{item['id']}: refused, {letter.field} {letter.value}: {letter.reason}")
        if not len(batch):
            return
        keys = ", ".join(f"{name} {item[name]}" for name in self.app.events.entities)
        fields = dict(zip(self.app.events.fields, batch.numbers[0], strict=True))
        values = ", ".join(
            f"{name} {item[name] if field.type == 'category' else number(fields[name])}"
            for name, field in self.app.events.fields.items()
        )
        self.names[int(batch.id_code[0])] = item["id"]
        self.say("intake", f"{item['id']}: {time_text(int(batch.time_ns[0]))}, {keys}, {values}")
        decided = self.loop.decide(batch)
        if decided.fresh is None:
            self.say("intake", f"{item['id']}: a repetition, answered from the journal")
            return
        self._decided(item["id"], decided.fresh)

    def _decided(self, name, made):
        if made.events.kind[0] == Row.LATE_EVENT:
            self.say("intake", f"{name}: late")
        freshness = [_FRESHNESS[int(code)] for code in made.features.freshness[0]]
        served = zip(made.features.names, made.features.values[0], freshness, strict=True)
        own = list(self.app.events.fields)
        self.say("windows", f"{name}:")
        for feature, value, fresh in served:
            if feature not in own:
                self.say("windows", f"    {feature}: {number(value)}" + ("" if fresh == "fresh" else f" ({fresh})"))
        self.say("scorers", f"{name}: {named(made.scores.names, made.scores.values[0])}")
        parts = named(made.scores.names, made.fused.contributions[0])
        self.say("fusion", f"{name}: risk {number(made.fused.risk[0])}; log-odds by scorer: {parts}")
        actions, proposal, ruling = self.app.actions, made.proposal, made.ruling
        chance = ", by chance" if proposal.explored[0] else ""
        shares = named(actions, proposal.propensity[0])
        self.say("policy", f"{name}: {actions[proposal.action[0]]}{chance}; propensities: {shares}")
        by = rule_text(int(ruling.rule[0]), int(made.fallback[0]), made.words) or "the policy"
        rules = [rule.name for k, rule in enumerate(self.app.guards.rules) if int(ruling.hits[0]) >> k & 1]
        held = f"; rules that held: {', '.join(rules)}" if rules else ""
        self.say("guards", f"{name}: {actions[ruling.action[0]]}, by {by}{held}")

    def _outcome(self, item):
        batch, letters, _ = parse_outcomes([item], self.schema, _NOW_NS)
        assert not letters, letters
        unknown = self.loop.counts["unknown_outcomes"]
        self.loop.learn(batch)
        more = ", of an event that nobody decided" if self.loop.counts["unknown_outcomes"] > unknown else ""
        self.say("outcomes", f"{item['id']}: fraud {item['fraud']}, known at {item['at']}{more}")

    # The steps of loop 1 inside, in its own order.

    def _watch(self):
        stages = self.loop.stages
        hand_on, fusion_learns, policy_learns = stages.joiner.due, stages.fusion.learn, stages.policy.learn

        def due(until_ns, *more):
            experience = hand_on(until_ns, *more)
            for k in range(len(experience)):
                name = self.names[int(experience.id_code[k])]
                label = number(experience.label[k])
                assumed = " (assumed, since its action hides it)" if experience.censored[k] else ""
                action = self.app.actions[experience.action[k]]
                costs = named(self.app.actions, experience.cost[k])
                self.say("outcomes", f"  {time_text(until_ns)}: {name} was {action}; label {label}{assumed}; {costs}")
            return experience

        def fusion(experience):
            fusion_learns(experience)
            factors = ", ".join(f"{name} x {number(by)}" for name, by in stages.fusion.multipliers().items())
            shift = number(stages.fusion.state()["place"][-1])
            self.say("learning", f"fusion, outcomes {len(experience)}: {factors}; log-odds {shift}")

        def policy(experience):
            policy_learns(experience)
            mean = ", ".join(map(number, stages.policy.state()["mean"]))
            waiting = len(stages.policy.state()["waiting"])
            self.say("learning", f"policy, outcomes {len(experience)}, waiting {waiting}: log-odds corrected by {mean}")

        stages.joiner.due, stages.fusion.learn, stages.policy.learn = due, fusion, policy


def transcripts():
    """The text of each stage."""
    story = Story(HERE / "shop.yaml", (HERE / "story.jsonl").read_text("utf-8").splitlines())
    return {stage: "\n".join(lines) + "\n" for stage, lines in story.texts.items()}
