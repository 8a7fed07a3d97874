"""The files of the infra app's deployment: Telegraf sends what the shipped app reads."""

import tomllib
from pathlib import Path

from homeostat.config.load import load_app


def test_telegraf_sends_every_metric_that_the_shipped_app_reads(deploy: Path) -> None:
    config = tomllib.loads((deploy / "infra" / "telegraf.conf").read_text("utf-8"))
    sent = {f"{name}.{field}" for name, (one,) in config["inputs"].items() for field in one.get("fieldinclude", ())}
    (derivative,) = config["aggregators"]["derivative"]
    assert derivative["namepass"] == ["net"] and "net.bytes_recv" in sent
    sent |= {"net.bytes_recv_rate"} | {
        f"service.{name}" for name in ("requests", "latency", "errors", "restarts", "deploying")
    }
    used = {f"{one.measurement}.{one.field}" for one in load_app("infra").metrics.fields.values()}
    assert used <= sent and sent - used == {"net.bytes_recv"}
    (output,) = config["outputs"]["influxdb_v2"]
    assert output["urls"] == ["${HOMEOSTAT_URL}"] and output["token"] == "${HOMEOSTAT_KEY}"
