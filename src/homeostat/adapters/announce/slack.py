"""An incoming webhook of Slack, or of what takes the same: Mattermost, Rocket.Chat, Discord behind `/slack`."""

from __future__ import annotations

import json

from homeostat.adapters.announce.message import Message
from homeostat.adapters.announce.web import post
from homeostat.config.announce import ChannelSettings

_TEXT_MAX = 2900  # Of a block, in which Slack takes 3,000 characters.


class Slack:
    """See the module."""

    def __init__(self, settings: ChannelSettings) -> None:
        self._settings = settings

    def send(self, message: Message, now_ns: int) -> None:
        """See `Sends`."""
        details = _escaped(message.text)[:_TEXT_MAX].replace("```", "'''")
        blocks = [
            {"type": "section", "text": {"type": "plain_text", "text": message.subject[:_TEXT_MAX]}},
            {"type": "section", "text": {"type": "mrkdwn", "text": f"```{details}```"}},
        ]
        if message.links:
            links = " or ".join(f"<{url}|{answer}>" for answer, url in message.links.items())
            blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": f"Look at it, and {links}"}})
        payload = {"text": _escaped(message.subject), "blocks": blocks}
        post(self._settings.url, json.dumps(payload).encode(), {}, self._settings.timeout_s, f"{self._settings.name}")

    def close(self) -> None:
        """Nothing is open."""


def _escaped(text: str) -> str:
    """Text in which nothing names a person or a link: it holds names that come from data.

    >>> _escaped("<!channel> & co")
    '&lt;!channel&gt; &amp; co'
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
