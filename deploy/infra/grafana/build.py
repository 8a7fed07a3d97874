"""Writes the infra app's Grafana dashboard: python deploy/infra/grafana/build.py. Change it here, not in the JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "dashboards"
SOURCE = {"type": "influxdb", "uid": "homeostat-influxdb"}
SCHEMA_VERSION = 39  # Grafana 10.4; later ones migrate it.
HOST = '"host" =~ /^$host$/ AND $timeFilter'
METRICS = (  # Title, measurement, field, unit.
    ("Processor", "cpu", "usage_active", "percent"),
    ("Memory", "mem", "used_percent", "percent"),
    ("Disk", "disk", "used_percent", "percent"),
    ("Disk time", "diskio", "io_util", "percent"),
    ("Network", "net", "bytes_recv_rate", "Bps"),
    ("Lost packets", "ping", "percent_packet_loss", "percent"),
    ("Latency", "service", "latency", "ms"),
    ("Errors", "service", "errors", "percent"),
    ("Clock", "ntpq", "offset", "ms"),
)
FLAGGED = 'SELECT "action", "score", "event_id" FROM "ai_predictions" WHERE "flag" = true AND {host}'


def target(ref: str, query: str, alias: str, form: str = "time_series") -> dict[str, Any]:
    """One query."""
    return {"refId": ref, "datasource": SOURCE, "rawQuery": True, "query": query, "alias": alias, "resultFormat": form}


def panel(
    number: int, kind: str, title: str, at: tuple[int, int, int, int], targets: list[dict[str, Any]],
    custom: dict[str, Any], unit: str = "short", text: str = "", overrides: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Grafana's own description of a panel. at : x, y, width and height"""
    x, y, width, height = at
    steps = [{"color": "green", "value": None}, {"color": "orange", "value": 0.08}, {"color": "red", "value": 0.5}]
    return {
        "id": number, "type": kind, "title": title, "description": text, "datasource": SOURCE,
        "gridPos": {"x": x, "y": y, "w": width, "h": height}, "targets": targets, "options": {},
        "fieldConfig": {
            "defaults": {"unit": unit, "custom": custom, "thresholds": {"mode": "absolute", "steps": steps},
                         "color": {"mode": "thresholds" if kind == "status-history" else "palette-classic"}},
            "overrides": overrides or [],
        },
    }  # fmt: skip


def by_name(name: str, **properties: Any) -> dict[str, Any]:
    """How a panel draws the series of these names."""
    return {"matcher": {"id": "byRegexp", "options": name},
            "properties": [{"id": f"custom.{key}", "value": value} for key, value in properties.items()]}  # fmt: skip


def metric(number: int, place: int, title: str, measurement: str, field: str, unit: str) -> dict[str, Any]:
    """A metric, and in dashes the band in which nine tenths of two hours lie."""
    of = f'FROM "{measurement}" WHERE {HOST}'
    targets = [
        target("A", f'SELECT percentile("{field}", 5) {of} GROUP BY time(2h), "host" fill(previous)', "low $tag_host"),
        target(
            "B", f'SELECT percentile("{field}", 95) {of} GROUP BY time(2h), "host" fill(previous)', "high $tag_host"
        ),
        target("C", f'SELECT mean("{field}") {of} GROUP BY time($__interval), "host" fill(null)', "$tag_host"),
    ]
    overrides = [by_name("/^(low|high) /", lineStyle={"fill": "dash", "dash": [4, 4]}, lineInterpolation="stepAfter")]
    custom = {"drawStyle": "line", "lineWidth": 1, "showPoints": "never"}
    at = (8 * (place % 3), 18 + 8 * (place // 3), 8, 8)
    return panel(number, "timeseries", title, at, targets, custom, unit, overrides=overrides)


def dashboard() -> dict[str, Any]:
    """All panels."""
    heat = f'SELECT max("score") FROM "ai_predictions" WHERE {HOST} GROUP BY time($__interval), "host" fill(null)'
    parts = f'SELECT mean(/^contribution\\..*/) FROM "ai_predictions" WHERE {HOST} GROUP BY time($__interval) fill(0)'
    alerts = f'{FLAGGED.format(host=HOST)} GROUP BY "host" ORDER BY time DESC LIMIT 50'
    stacked = {"drawStyle": "bars", "fillOpacity": 60, "stacking": {"mode": "normal", "group": "A"}}
    panels = [
        panel(1, "status-history", "Anomalies by host", (0, 0, 24, 9), [target("A", heat, "$tag_host")],
              {"fillOpacity": 80}, text="The highest risk. Red is an alert, orange worth a look."),
        panel(2, "timeseries", "Contributions by feature", (0, 9, 14, 9), [target("A", parts, "$col")], stacked,
              text="How much each feature moved the risk's log-odds."),
        panel(3, "table", "Alerts", (14, 9, 10, 9), [target("A", alerts, "", "table")], {"align": "auto"}),
        *(metric(4 + place, place, *one) for place, one in enumerate(METRICS)),
    ]  # fmt: skip
    query = 'SHOW TAG VALUES FROM "ai_predictions" WITH KEY = "host"'
    variable = {
        "name": "host", "label": "Host", "type": "query", "datasource": SOURCE, "definition": query, "query": query,
        "refresh": 2, "includeAll": True, "multi": True, "sort": 1,
        "current": {"text": ["All"], "value": ["$__all"]}, "options": [],
    }  # fmt: skip
    return {
        "uid": "homeostat-infra", "title": "Machines and services", "tags": ["homeostat"],
        "schemaVersion": SCHEMA_VERSION, "version": 1, "editable": False, "graphTooltip": 1, "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"}, "timezone": "utc", "templating": {"list": [variable]},
        "annotations": {"list": []}, "panels": panels, "links": [],
    }  # fmt: skip


def text() -> str:
    """The file's text."""
    return json.dumps(dashboard(), indent=1) + "\n"


if __name__ == "__main__":
    (FOLDER / "infra.json").write_text(text(), encoding="utf-8")
