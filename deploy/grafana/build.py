"""Writes the Grafana dashboards: python deploy/grafana/build.py. Change them here, not in the JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "dashboards"
SOURCE = {"type": "prometheus", "uid": "homeostat-prometheus"}
SCHEMA_VERSION = 39  # Grafana 10.4; later ones migrate it.
APP = 'app=~"$app"'
COLUMNS = 24


@dataclass(frozen=True)
class Panel:
    """One panel. `queries` are expressions with the legend of each."""

    title: str
    queries: tuple[tuple[str, str], ...]
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 8
    height: int = 8
    text: str = ""
    stacked: bool = False
    warn: float | None = None
    alarm: float | None = None

    def model(self, number: int, x: int, y: int) -> dict[str, Any]:
        """Grafana's own description of it."""
        steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
        if self.warn is not None:
            steps.append({"color": "orange", "value": self.warn})
        if self.alarm is not None:
            steps.append({"color": "red", "value": self.alarm})
        custom: dict[str, Any] = {}
        if self.kind == "timeseries":
            custom = {
                "drawStyle": "line", "lineWidth": 1, "fillOpacity": 30 if self.stacked else 5, "showPoints": "never",
                "stacking": {"mode": "normal" if self.stacked else "none", "group": "A"},
                "thresholdsStyle": {"mode": "line" if self.alarm is not None else "off"},
            }  # fmt: skip
        heat = self.kind == "heatmap"
        return {
            "id": number, "type": self.kind, "title": self.title, "description": self.text, "datasource": SOURCE,
            "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height},
            "targets": [
                {"refId": chr(ord("A") + k), "datasource": SOURCE, "expr": expr, "legendFormat": legend,
                 "range": self.kind != "table", "instant": self.kind == "table",
                 "format": "heatmap" if heat else "table" if self.kind == "table" else "time_series"}
                for k, (expr, legend) in enumerate(self.queries)
            ],
            "fieldConfig": {
                "defaults": {"unit": self.unit, "custom": custom, "thresholds": {"mode": "absolute", "steps": steps}},
                "overrides": [],
            },
            "options": _OPTIONS[self.kind],
        }  # fmt: skip


_OPTIONS: dict[str, dict[str, Any]] = {
    "timeseries": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
    "stat": {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "graphMode": "area"},
    "heatmap": {"calculate": False, "yAxis": {"axisPlacement": "left"}, "color": {"scheme": "Oranges", "steps": 64}},
    "table": {"showHeader": True},
}


def rate(metric: str, by: str, more: str = "") -> str:
    """Per second, by labels."""
    return f"sum by ({by}) (rate({metric}{{{APP}{more}}}[$__rate_interval]))"


def quantile(share: float, metric: str, by: str = "", more: str = "") -> str:
    """A quantile of a histogram."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({share}, {rate(f'{metric}_bucket', labels, more)})"


def quantiles(metric: str, more: str = "") -> tuple[tuple[str, str], ...]:
    """Its median, and its tail."""
    shares = ((0.5, "half"), (0.99, "99 %"), (0.999, "99.9 %"))
    return tuple((quantile(share, metric, more=more), name) for share, name in shares)


def heat(metric: str, more: str = "") -> tuple[tuple[str, str], ...]:
    """A histogram over time."""
    return ((rate(f"{metric}_bucket", "le", more), "{{le}}"),)


DECISIONS = f"sum(rate(homeostat_decisions_total{{{APP}}}[$__rate_interval]))"
LAG = f"sum(max by (app, lane) (homeostat_stream_lag_messages{{{APP}}}))"

OVERVIEW = (
    Panel("Decisions a second", ((DECISIONS, "decisions"),), "ops", "stat", 4, 5),
    Panel("Lag", ((LAG, "messages"),), "short", "stat", 4, 5, warn=5_000, alarm=50_000),
    Panel("Fallbacks", ((f"sum(rate(homeostat_fallbacks_total{{{APP}}}[$__rate_interval])) / {DECISIONS}", "share"),),
          "percentunit", "stat", 4, 5, warn=0.001, alarm=0.01),
    Panel("99 % decide within", ((quantile(0.99, "homeostat_decision_seconds"), "99 %"),), "s", "stat", 4, 5,
          warn=0.02, alarm=0.05),
    Panel("Spooled rows", ((f"sum(homeostat_journal_spooled_rows{{{APP}}})", "rows"),), "short", "stat", 4, 5, warn=1),
    Panel("Processes", ((f"count(homeostat_info{{{APP}}})", "processes"),), "short", "stat", 4, 5),
    Panel("Events by what became of them", ((rate("homeostat_events_total", "kind"), "{{kind}}"),), "ops"),
    Panel("Actions", ((rate("homeostat_decisions_total", "action"), "{{action}}"),), "ops", stacked=True),
    Panel("Lag by lane", ((f"max by (lane) (homeostat_stream_lag_messages{{{APP}}})", "{{lane}}"),), "short"),
    Panel("From event to decision", quantiles("homeostat_end_to_end_seconds"), "s", alarm=0.25,
          text="From an event's being produced to its decision's being published."),
    Panel("Parts that answer", ((f"min by (part) (homeostat_part_up{{{APP}}})", "{{part}}"),), "short"),
    Panel("Errors", ((rate("homeostat_errors_total", "stage, part, reason"), "{{stage}} {{part}} {{reason}}"),), "ops"),
    Panel("Versions", ((f"count by (app, version, release) (homeostat_info{{{APP}}})", ""),), "short", "table", 12, 6,
          text="Processes by the version that decides."),
    Panel("Roles of versions", ((f"max by (app, role, version) (homeostat_version_share{{{APP}}})", ""),),
          "percentunit", "table", 12, 6,
          text="The share of the entities that champion and canary decide; a challenger decides none."),
    Panel("Fairness by measure", ((f"min by (measure) (homeostat_fairness_verdict{{{APP}}})", "{{measure}}: verdict"),
          (f"max by (measure) (homeostat_fairness_difference{{{APP}}})", "{{measure}}: difference"),
          (f"time() - max(homeostat_fairness_timestamp_seconds{{{APP}}})", "seconds ago")), "short", "table", 12, 6,
          text="Of bounds on groups of people: 1 PASS, 0 INCONCLUSIVE, -1 FAIL."),
    Panel("Alerts that fire", (('ALERTS{alertname=~"Homeostat.*", alertstate="firing"}', ""),), "short", "table", 12,
          6),
)  # fmt: skip
STAGES = ("intake", "windows", "scorers", "fusion", "policy", "guards", "journal", "learning")
DECIDE = (
    Panel("Time by stage, of all time spent", ((rate("homeostat_stage_seconds_sum", "stage"), "{{stage}}"),),
          "percentunit", width=12, stacked=True, text="1 is one processor kept busy."),
    Panel("Batches by stage", ((rate("homeostat_stage_seconds_count", "stage"), "{{stage}}"),), "ops", width=12),
    *(Panel(f"{stage.capitalize()}: time for a batch", quantiles("homeostat_stage_seconds", f', stage="{stage}"'), "s",
            width=6, height=7) for stage in STAGES),
    Panel("Events decided together", (*quantiles("homeostat_batch_rows"),
          (f"max(homeostat_batch_rows_bound{{{APP}}})", "bound")), "short", width=6, height=7),
    Panel("Lines of metrics", ((rate("homeostat_metric_lines_total", "end"), "{{end}}"),
          (f"sum(rate(homeostat_metric_steps_total{{{APP}}}[$__rate_interval]))", "steps decided"),
          (f"sum(homeostat_metric_steps_open{{{APP}}})", "steps open")), "short", width=6, height=7,
          text="Of apps whose file has a section metrics."),
    Panel("Time of a decision", heat("homeostat_decision_seconds"), "s", "heatmap"),
    Panel("Who had the last word", ((rate("homeostat_decisions_total", "decided_by"), "{{decided_by}}"),), "ops",
          stacked=True),
    Panel("Rules that decided", ((rate("homeostat_rules_total", "rule"), "{{rule}}"),), "ops"),
    Panel("Action mix", (
        (f"{rate('homeostat_decisions_total', 'action')} / ignoring (action) group_left () {DECISIONS}", "{{action}}"),
    ), "percentunit", stacked=True),
    Panel("Fallbacks", ((rate("homeostat_fallbacks_total", "reason"), "{{reason}}"),), "ops"),
    Panel("Scores that are missing", ((rate("homeostat_scores_missing_total", "scorer"), "{{scorer}}"),), "ops"),
    Panel("Risk", heat("homeostat_risk"), "short", "heatmap", 12),
    Panel("Mean score", ((f"{rate('homeostat_score_sum', 'scorer')} / {rate('homeostat_score_count', 'scorer')}",
                          "{{scorer}}"),), "short", width=12),
    Panel("Scores", heat("homeostat_score", ', scorer=~"$scorer"'), "short", "heatmap", 12,
          text="Of the scorers chosen above."),
    Panel("Features that are not fresh", (
        (f"""{rate("homeostat_feature_values_total", "entity, freshness", ', freshness!="fresh"')}"""
         f""" / on (entity) group_left () {rate("homeostat_feature_values_total", "entity")}""",
         "{{entity}} {{freshness}}"),
    ), "percentunit", width=12),
    Panel("Age of the newest event", ((f"time() - max by (app) (homeostat_watermark_timestamp_seconds{{{APP}}} > 0)",
                                       "{{app}}"),), "s"),
    Panel("Scorers left out", ((f"max by (scorer) (homeostat_scorer_out{{{APP}}})", "{{scorer}}"),), "short"),
    Panel("Events ahead of the clock", ((f"max by (app) (homeostat_event_ahead_seconds{{{APP}}})", "{{app}}"),), "s"),
    Panel("Bad events", ((rate("homeostat_bad_events_total", "reason"), "{{reason}}"),), "ops"),
    Panel("Outcomes", ((rate("homeostat_outcomes_total", "kind"), "{{kind}}"),), "ops"),
)  # fmt: skip
WORKERS = (
    Panel("Lag", ((LAG, "messages"),), "short", text="What the autoscaler follows."),
    Panel("Pulled", ((rate("homeostat_messages_pulled_total", "channel"), "{{channel}}"),), "ops"),
    Panel("Published", ((rate("homeostat_messages_published_total", "channel"), "{{channel}}"),), "ops"),
    Panel("Lanes by worker", ((f"homeostat_stream_lanes{{{APP}}}", "{{instance}}"),), "short", stacked=True),
    Panel("Batches by worker", ((rate("homeostat_batches_total", "instance"), "{{instance}}"),), "ops"),
    Panel("Lanes that change hands", (
        (rate("homeostat_rebalances_total", "instance"), "rebalanced {{instance}}"),
        (rate("homeostat_fenced_total", "instance"), "left to others {{instance}}"),
    ), "ops"),
    Panel("Windows: one batch", quantiles("homeostat_stage_seconds", ', stage="windows"'), "s",
          text="With the round trip to the feature store."),
    Panel("Journal: one batch", quantiles("homeostat_journal_seconds"), "s"),
    Panel("Publish: one batch", quantiles("homeostat_publish_seconds"), "s"),
    Panel("Spooled", ((f"homeostat_journal_spooled_bytes{{{APP}}}", "{{instance}}"),), "bytes",
          text="Decisions on this disk, while PostgreSQL is away."),
    Panel("Oldest that is spooled", ((f"homeostat_journal_spool_age_seconds{{{APP}}}", "{{instance}}"),), "s"),
    Panel("Share of the spool in use", (
        (f"homeostat_journal_spooled_bytes{{{APP}}} / homeostat_journal_spool_bytes_max{{{APP}}}", "{{instance}}"),
    ), "percentunit", alarm=0.8),
    Panel("Feature store made whole", ((f"homeostat_feature_rejoins_total{{{APP}}}", "{{instance}}"),), "short"),
    Panel("Memory for logs", (
        (f"homeostat_remembered_bytes{{{APP}}}", "{{instance}}"),
        (f"homeostat_remembered_bytes_max{{{APP}}}", "bound {{instance}}"),
    ), "bytes", text="Of the feature store. Beyond the bound, a process forgets all and reads it again."),
    Panel("Logs forgotten", ((rate("homeostat_forgotten_total", "instance"), "{{instance}}"),), "ops"),
    Panel("Parts left alone", ((f"max by (part) (homeostat_circuit_open{{{APP}}})", "{{part}}"),), "short"),
    Panel("Age of what was learned", (
        (f"homeostat_learning_stale_seconds{{{APP}}}", "{{instance}}"),
        (f"max(homeostat_learning_stale_seconds_max{{{APP}}})", "declared"),
    ), "s", text="Where another process learns for these; -1 where nothing was learned as yet."),
    Panel("Learned up to entry", ((f"homeostat_learning_position{{{APP}}}", "{{instance}}"),), "short"),
    Panel("Waited for what is learned", ((rate("homeostat_learning_waits_total", "end"), "{{end}}"),), "ops"),
    Panel("Left for exploring", ((f"homeostat_exploration_left{{{APP}}}", "{{instance}}"),), "short"),
    Panel("Challenger in shadow", ((f"homeostat_shadow_up{{{APP}}}", "{{instance}}"),), "short",
          text="1 in the one process that decides for it."),
    Panel("Challenger behind", ((f"homeostat_shadow_behind_seconds{{{APP}}}", "{{instance}}"),), "s"),
    Panel("Challenger behind, entries", ((f"homeostat_shadow_behind_entries{{{APP}}}", "{{instance}}"),), "short"),
    Panel("Challenger decides otherwise", (
        (f"homeostat_shadow_differing{{{APP}}} / homeostat_shadow_events{{{APP}}}", "{{instance}}"),
        (f"homeostat_shadow_failed{{{APP}}} / homeostat_shadow_events{{{APP}}}", "without a part {{instance}}"),
    ), "percentunit"),
    Panel("Challenger restarted", ((rate("homeostat_shadow_restarts_total", "instance"), "{{instance}}"),), "ops"),
    Panel("Predictions sent", ((rate("homeostat_predictions_sent_total", "target"), "{{target}}"),), "ops"),
    Panel("Predictions that wait, entries", (
        (f"max by (target) (homeostat_predictions_behind_entries{{{APP}}})", "{{target}}"),
    ), "short"),
    Panel("Predictions not sent", (
        (rate("homeostat_predictions_skipped_total", "target"), "too old, {{target}}"),
        (rate("homeostat_predictions_refused_total", "target"), "refused, {{target}}"),
    ), "ops"),
    Panel("Targets of predictions", ((f"min by (target) (homeostat_predictions_up{{{APP}}})", "{{target}}"),), "short",
          text="1 where a target takes predictions."),
    Panel("Maintenance behind", ((f"homeostat_maintain_behind_seconds{{{APP}}}", "{{instance}}"),), "s",
          text="Of the process that has the lease."),
    Panel("Maintenance behind, entries", ((f"homeostat_maintain_behind_entries{{{APP}}}", "{{instance}}"),), "short"),
    Panel("Maintenance leads", (
        (f"homeostat_maintain_leads{{{APP}}}", "{{instance}}"),
        (f"homeostat_maintain_up{{{APP}}}", "beside {{instance}}"),
    ), "short", text="1 in the one process that acts."),
    Panel("Ticks and figures", (
        (f"homeostat_maintain_ticks_total{{{APP}}}", "ticks {{instance}}"),
        (f"homeostat_maintain_series{{{APP}}}", "figures {{instance}}"),
    ), "short"),
    Panel("Age of the last tick", (
        (f"time() - max by (app) (homeostat_maintain_reached_timestamp_seconds{{{APP}}} > 0)", "{{app}}"),
    ), "s"),
    Panel("Signals and open incidents", (
        (f"homeostat_maintain_signals_total{{{APP}}}", "signals {{instance}}"),
        (f"homeostat_maintain_incidents_open{{{APP}}}", "open {{instance}}"),
    ), "short"),
    Panel("Used of the budget of false alarms", ((f"homeostat_maintain_budget_used{{{APP}}}", "{{instance}}"),),
          "percentunit", text="Incidents of the last span, of those allowed in it as false alarms.", alarm=1.0),
    Panel("Quality estimated without labels", (
        (f"max by (figure) (homeostat_estimated_quality{{{APP},figure!=\"cost\"}})", "{{figure}}"),
        (f"max by (figure) (homeostat_estimated_quality_low{{{APP},figure!=\"cost\"}})", "{{figure}}: least"),
        (f"max by (figure) (homeostat_estimated_quality_high{{{APP},figure!=\"cost\"}})", "{{figure}}: most"),
    ), "short", text="Of the last day's decisions. Not to be trusted while the assumption is broken."),
    Panel("Assumption of the estimates broken", ((f"homeostat_estimates_broken{{{APP}}}", "{{instance}}"),), "short",
          text="1 where mature outcomes contradict the estimates.", alarm=1.0),
    Panel("Changes that nothing allowed", ((f"homeostat_gate_unauthorised{{{APP}}}", "{{instance}}"),), "short",
          text="By loop 2, counted from outside of it.", alarm=1.0),
    Panel("Plans that wait for a person", (
        (f"homeostat_plans_waiting{{{APP}}}", "waiting {{instance}}"),
        (f"homeostat_gate_stopped{{{APP}}}", "kill switch {{instance}}"),
        (f"homeostat_incidents_begun_again{{{APP}}}", "begun again {{instance}}"),
    ), "short", text="While the kill switch is 1, each plan waits. Begun again: a symptom came back after PASS."),
    Panel("Memory of incidents", (
        (f"homeostat_memory_cases{{{APP}}}", "cases {{instance}}"),
        (f"homeostat_memory_notes{{{APP}}}", "notes {{instance}}"),
        (f"homeostat_memory_recalled{{{APP}}}", "recalled {{instance}}"),
    ), "short", text="Recalled: the cause of a past incident was tried first, and verified."),
    Panel("Calls of language models", (
        (rate("homeostat_language_calls_total", "outcome"), "{{outcome}}"),
        (rate("homeostat_language_tokens_total", "instance"), "tokens {{instance}}"),
        (rate("homeostat_language_cost_total", "instance"), "cost {{instance}}"),
    ), "ops", text="They advise people; nothing waits for them."),
    Panel("Maintenance restarted", ((rate("homeostat_maintain_restarts_total", "instance"), "{{instance}}"),), "ops"),
    Panel("Ready", ((f"homeostat_ready{{{APP}}}", "{{instance}}"),
                    (f"homeostat_draining{{{APP}}}", "draining {{instance}}")), "short"),
    Panel("Memory", (('process_resident_memory_bytes{job=~"homeostat-.*"}', "{{instance}}"),), "bytes"),
    Panel("Processor", (('rate(process_cpu_seconds_total{job=~"homeostat-.*"}[$__rate_interval])', "{{instance}}"),),
          "percentunit"),
    Panel("Open files", (('process_open_fds{job=~"homeostat-.*"}', "{{instance}}"),), "short"),
)  # fmt: skip


def variable(name: str, label: str) -> dict[str, Any]:
    """A choice of label values at the top of a dashboard; all of them at first."""
    query = f"label_values({label}, {name})"
    return {
        "name": name, "label": name.capitalize(), "type": "query", "datasource": SOURCE, "definition": query,
        "query": {"query": query, "refId": name}, "refresh": 2, "includeAll": True, "multi": True, "sort": 1,
        "current": {"text": ["All"], "value": ["$__all"]}, "options": [],
    }  # fmt: skip


def dashboard(uid: str, title: str, panels: tuple[Panel, ...], *variables: dict[str, Any]) -> dict[str, Any]:
    """A whole dashboard; panels fill rows from left to right."""
    placed, x, y, tallest = [], 0, 0, 0
    for number, panel in enumerate(panels, 1):
        if x + panel.width > COLUMNS:
            x, y, tallest = 0, y + tallest, 0
        placed.append(panel.model(number, x, y))
        x, tallest = x + panel.width, max(tallest, panel.height)
    return {
        "uid": uid, "title": title, "tags": ["homeostat"], "schemaVersion": SCHEMA_VERSION, "version": 1,
        "editable": False, "graphTooltip": 1, "refresh": "30s", "time": {"from": "now-6h", "to": "now"},
        "timezone": "utc", "templating": {"list": [variable("app", "homeostat_info"), *variables]},
        "annotations": {"list": []}, "panels": placed,
        "links": [{"type": "dashboards", "title": "homeostat", "tags": ["homeostat"], "asDropdown": False,
                   "keepTime": True, "includeVars": True}],
    }  # fmt: skip


def dashboards() -> dict[str, str]:
    """Every file by name, as JSON."""
    made = {
        "overview": dashboard("homeostat-overview", "homeostat: overview", OVERVIEW),
        "decisions": dashboard(
            "homeostat-decisions", "homeostat: decisions", DECIDE, variable("scorer", "homeostat_score_count")
        ),
        "workers": dashboard("homeostat-workers", "homeostat: workers", WORKERS),
    }
    return {f"{name}.json": json.dumps(model, indent=1) + "\n" for name, model in made.items()}


if __name__ == "__main__":
    for name, text in dashboards().items():
        (FOLDER / name).write_text(text, "utf-8")
