"""Signed links: each carries an incident, the hash of a plan, one answer, and its end. Nobody can make another.

A link only opens a page; the page asks for a POST. It is good for one answer, since a plan is answered once, and void
where the plan or the settings have changed.
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass
from hashlib import sha256

from homeostat.config.links import LinkSettings
from homeostat.records.responses import Answer

BELOW = "/v1/answers/"
_FORM = re.compile(r"([0-9a-f]{4,64})-([0-9a-f]{16})-(approve|reject)-([0-9a-f]{1,12})-(\w{1,64})-([0-9a-f]{64})")
_PURPOSE = b"homeostat answer link 1\n"  # The same secret signs nothing else.


@dataclass(frozen=True, slots=True)
class Link:
    """The content of a link.

    until_s : after which it is over, seconds since 1970
    channel : on which it was announced
    """

    incident: str
    plan: str
    answer: Answer
    until_s: int
    channel: str

    @property
    def text(self) -> str:
        """The part of the token that is signed."""
        return f"{self.incident}-{self.plan}-{self.answer}-{self.until_s:x}-{self.channel}"


@dataclass(frozen=True, slots=True)
class Links:
    """Signs links, and reads them."""

    settings: LinkSettings

    def address(self, link: Link) -> str:
        """The address that a person opens."""
        return f"{self.settings.url}{BELOW}{self.token(link)}"

    def token(self, link: Link) -> str:
        """The link as text, with its signature.

        >>> links = Links(LinkSettings("https://risk.example.com", "s" * 32))
        >>> link = Link("0a1b", "0123456789abcdef", Answer.APPROVE, 99, "desk")
        >>> links.read(links.token(link)) == link, links.read(links.token(link).replace("approve", "reject"))
        (True, None)
        """
        return f"{link.text}-{self._signature(link)}"

    def read(self, token: str) -> Link | None:
        """The content of a token; None where it was not signed here."""
        found = _FORM.fullmatch(token) if token.isascii() else None
        if found is None:
            return None
        link = Link(found[1], found[2], Answer(found[3]), int(found[4], 16), found[5])
        same = link.text == token.rpartition("-")[0]  # One link has one token.
        return link if same and hmac.compare_digest(self._signature(link), found[6]) else None

    def _signature(self, link: Link) -> str:
        return hmac.digest(self.settings.secret.encode(), _PURPOSE + link.text.encode(), sha256).hex()
