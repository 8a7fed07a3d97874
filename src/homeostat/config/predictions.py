"""Where decisions go as predictions: the app file's `predictions`, with secrets from the environment.

A target's `url`, `username`, `password`, `token` and `secret` may stand in the environment, as
`HOMEOSTAT_PREDICTIONS__NAME__TOKEN`. There they win over the file, and the last four stand nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field

from homeostat.config.addressed import STREAM, WEB, address_fault, given_by, variables_of, without_secrets
from homeostat.config.faults import AppFileError, Fault
from homeostat.config.scalars import Duration, Name, Node, duration_ns

PREFIX = "HOMEOSTAT_PREDICTIONS__"
TargetKind = Literal["influxdb", "prometheus", "stream", "webhook", "alertmanager"]
SCHEMES: Mapping[str, tuple[str, ...]] = {
    "influxdb": WEB, "prometheus": WEB, "stream": STREAM, "webhook": WEB, "alertmanager": WEB,
}  # fmt: skip
_ALL = ("influxdb", "prometheus", "stream")  # Kinds that get every prediction unless the file says otherwise.
_SECRETS = ("url", "username", "password", "token", "secret")


class Target(Node):
    """One place that gets the decisions of this app as predictions."""

    kind: TargetKind = Field(
        description="influxdb (1.x to 3.x), prometheus (remote write), stream (Kafka, Redis), webhook (signed), "
        "alertmanager"
    )  # fmt: skip
    url: str | None = Field(
        default=None, description="http://host:port of InfluxDB or Alertmanager, the whole address of a webhook or of "
        "remote write, kafka://host/topic or redis-stream://host/db/key; one that is a secret belongs in "
        "HOMEOSTAT_PREDICTIONS__NAME__URL"
    )  # fmt: skip
    database: str | None = Field(default=None, description="influxdb: the database, of 1.x")
    bucket: str | None = Field(default=None, description="influxdb: the bucket, of 2.x and 3.x")
    org: str | None = Field(default=None, description="influxdb: the organisation that has the bucket")
    measurement: str = Field(
        default="ai_predictions", min_length=1, max_length=200,
        description="influxdb: the measurement; prometheus: what the names of series begin with",
    )  # fmt: skip
    send: Literal["all", "flagged"] | None = Field(
        default=None, description="all predictions or flagged ones; flagged by default for webhook and alertmanager"
    )
    flag: tuple[Name, ...] = Field(
        default=(), description="the actions that count as a flag; when empty, all but the mildest one"
    )
    contributions: int = Field(
        default=20, ge=0, le=1000, description="so many of the largest contributions go along; 0 for none"
    )
    keep: Duration = Field(
        default=duration_ns("1d"), description="decisions older than this are skipped and counted, not sent"
    )
    timeout: Duration = Field(default=duration_ns("10s"), description="how long one try may take")
    quiet: Duration = Field(
        default=duration_ns("5m"), description="alertmanager: an alert ends so long after the last flagged decision"
    )

    @property
    def sends_all(self) -> bool:
        """Whether it gets decisions that are not flagged, too."""
        return self.kind in _ALL if self.send is None else self.send == "all"


@dataclass(frozen=True, slots=True)
class TargetSettings:
    """A target with all that it needs. Its text shows no secret."""

    name: str
    target: Target
    url: str = field(repr=False)
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)

    @property
    def timeout_s(self) -> float:
        """How long one try may take, in seconds."""
        return self.target.timeout / 1e9

    def without_secrets(self, text: str) -> str:
        """A text, such as an error's, without what nobody should read in a log."""
        return without_secrets(text, self.url, self.password, self.token, self.secret)


def read_targets(declared: Mapping[str, Target], environ: Mapping[str, str]) -> list[TargetSettings]:
    """The targets with their secrets. Raises AppFileError that names each key that is missing, and no secret.

    >>> one = Target(kind="influxdb", url="http://127.0.0.1:8086", database="infra")
    >>> made = read_targets({"store": one}, {"HOMEOSTAT_PREDICTIONS__STORE__PASSWORD": "geheim"})
    >>> made[0].password, "geheim" in repr(made[0])
    ('geheim', False)
    """
    targets, faults = [], []
    for name, target in declared.items():
        made = TargetSettings(name, target, **given_by(environ, variables_of(PREFIX, name), _SECRETS, target.url))
        targets.append(made)
        if (fault := _fault(made)) is not None:
            faults.append(Fault("predictions", 1, 1, f"predictions.{name}", fault))
    if faults:
        raise AppFileError(faults)
    return targets


def _fault(made: TargetSettings) -> str | None:
    target, variable = made.target, variables_of(PREFIX, made.name)
    fault = address_fault(made.url, target.kind, SCHEMES[target.kind], variable)
    if fault is not None:
        return fault
    if urlsplit(made.url).username is not None and target.kind != "stream":
        return f"user and password belong in {variable}USERNAME and {variable}PASSWORD, not into the address"
    if target.kind == "influxdb" and (target.database is None) == (target.bucket is None):
        return "influxdb needs a `database` (1.x) or a `bucket` (2.x and 3.x), and not both"
    return None
