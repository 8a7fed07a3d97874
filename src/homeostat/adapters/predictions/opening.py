"""Opens a target of predictions by its kind."""

from __future__ import annotations

from homeostat.adapters.predictions.sending import Sends
from homeostat.config.predictions import TargetSettings
from homeostat.config.servers import KafkaSettings


def open_target(settings: TargetSettings, kafka: KafkaSettings) -> Sends:
    """The target. Nothing is connected yet, so nothing fails yet."""
    match settings.target.kind:
        case "influxdb":
            from homeostat.adapters.predictions.influx import Influx

            return Influx(settings)
        case "prometheus":
            from homeostat.adapters.predictions.remote_write import RemoteWrite

            return RemoteWrite(settings)
        case "stream":
            from homeostat.adapters.predictions.streams import StreamTarget

            return StreamTarget(settings, kafka)
        case "webhook":
            from homeostat.adapters.predictions.webhook import Webhook

            return Webhook(settings)
        case "alertmanager":
            from homeostat.adapters.predictions.alertmanager import Alertmanager

            return Alertmanager(settings)
