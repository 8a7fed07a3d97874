"""Where incidents are announced: the channels of an app file's `maintain.announce`, with secrets from the environment.

A channel's `url`, `username`, `password` and `secret` may stand in the environment, as
`HOMEOSTAT_ANNOUNCE__NAME__SECRET`; there they win over the file. Secrets stand nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pydantic import Field

from homeostat.config.addressed import STREAM, WEB, address_fault, given_by, variables_of, without_secrets
from homeostat.config.faults import AppFileError, Fault
from homeostat.config.scalars import Duration, Node, duration_ns

PREFIX = "HOMEOSTAT_ANNOUNCE__"
ChannelKind = Literal["webhook", "slack", "alertmanager", "email", "stream"]
SCHEMES: Mapping[str, tuple[str, ...]] = {
    "webhook": WEB, "slack": WEB, "alertmanager": WEB, "email": ("smtp", "smtps"), "stream": STREAM,
}  # fmt: skip
_SECRETS = ("url", "username", "password", "secret")


class Channel(Node):
    """One place where people or programs hear of incidents."""

    kind: ChannelKind = Field(description="webhook (signed), slack, alertmanager, email, or stream (Kafka, Redis)")
    url: str | None = Field(
        default=None, description="https://..., smtp://host:port (smtps:// for TLS from the start), kafka://host/topic "
        "or redis-stream://host/db/key; one that is a secret belongs in HOMEOSTAT_ANNOUNCE__NAME__URL"
    )  # fmt: skip
    to: tuple[str, ...] = Field(default=(), max_length=100, description="email: the addresses of those who get it")
    sender: str = Field(default="homeostat@localhost", description="email: the address that it comes from")
    severity: Literal["low", "medium", "high", "critical"] = Field(
        default="low", description="incidents of less than this severity are not announced here"
    )
    tries: int = Field(default=10, ge=1, le=100, description="how often a delivery is tried before it is given up")
    timeout: Duration = Field(default=duration_ns("10s"), description="how long one try may take")


@dataclass(frozen=True, slots=True)
class ChannelSettings:
    """A channel with all that it needs. Its text shows no secret."""

    name: str
    channel: Channel
    url: str = field(repr=False)
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)

    @property
    def timeout_s(self) -> float:
        """How long one try may take, in seconds."""
        return self.channel.timeout / 1e9

    def without_secrets(self, text: str) -> str:
        """A text, such as an error's, without what nobody should read in a log."""
        return without_secrets(text, self.url, self.password, self.secret)


def read_channels(declared: Mapping[str, Channel], environ: Mapping[str, str]) -> list[ChannelSettings]:
    """The channels with their secrets. Raises AppFileError that names each key that is missing, and no secret.

    >>> made = read_channels({"desk": Channel(kind="webhook")}, {"HOMEOSTAT_ANNOUNCE__DESK__URL": "http://127.0.0.1/x"})
    >>> made[0].url, "127" in repr(made[0])
    ('http://127.0.0.1/x', False)
    """
    channels, faults = [], []
    for name, channel in declared.items():
        made = ChannelSettings(name, channel, **given_by(environ, variables_of(PREFIX, name), _SECRETS, channel.url))
        channels.append(made)
        if (fault := _fault(made)) is not None:
            faults.append(Fault("maintain.announce", 1, 1, f"maintain.announce.{name}", fault))
    if faults:
        raise AppFileError(faults)
    return channels


def _fault(made: ChannelSettings) -> str | None:
    kind = made.channel.kind
    fault = address_fault(made.url, f"a {kind}", SCHEMES[kind], variables_of(PREFIX, made.name))
    if fault is not None:
        return fault
    if kind == "email" and not made.channel.to:
        return "an email needs somebody to go to: give `to`, a list of addresses"
    if kind == "email" and any("\n" in one or "\r" in one or "@" not in one for one in made.channel.to):
        return "`to` is a list of addresses such as ann@example.org"
    return None
