"""Opens a channel by its kind."""

from __future__ import annotations

from homeostat.adapters.announce.message import Sends
from homeostat.config.announce import ChannelSettings
from homeostat.config.servers import KafkaSettings


def open_channel(settings: ChannelSettings, kafka: KafkaSettings | None = None) -> Sends:
    """The channel, ready to send. Asks no server yet."""
    match settings.channel.kind:
        case "webhook":
            from homeostat.adapters.announce.webhook import Webhook

            return Webhook(settings)
        case "slack":
            from homeostat.adapters.announce.slack import Slack

            return Slack(settings)
        case "alertmanager":
            from homeostat.adapters.announce.alertmanager import Alertmanager

            return Alertmanager(settings)
        case "email":
            from homeostat.adapters.announce.email import Email

            return Email(settings)
        case "stream":
            from homeostat.adapters.announce.stream import StreamChannel

            return StreamChannel(settings, kafka or KafkaSettings())
