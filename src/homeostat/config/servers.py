"""Which servers an app runs on: the `servers` section of a file, and the environment variables that override it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, ValidationError

from homeostat.config.backends import FEATURES, JOURNALS, OBJECT_STORES, STREAMS
from homeostat.config.faults import AppFileError, Fault, nearest
from homeostat.config.nodes import BYTES_MAX, YamlNode, compose
from homeostat.config.scalars import Duration, Node, duration_ns

SECTION, PREFIX = "servers", "HOMEOSTAT_SERVERS__"
FORMER_SECTION, FORMER_PREFIX = "world", "HOMEOSTAT_WORLD__"  # Still read, with a notice.
STREAM_SCHEMES = tuple(STREAMS)
_SCHEMES = {
    "events": STREAM_SCHEMES, "outcomes": STREAM_SCHEMES, "decisions": STREAM_SCHEMES, "dead_letters": STREAM_SCHEMES,
    "features": tuple(FEATURES), "journal": tuple(JOURNALS), "models": OBJECT_STORES,
}  # fmt: skip


class KafkaSettings(Node):
    """How Kafka is reached: TLS and SASL, and any further setting of librdkafka by its own name."""

    tls: bool = Field(default=False, description="encrypt the connection")
    ca_file: str | None = Field(default=None, description="certificates that the brokers' are checked against")
    certificate_file: str | None = Field(default=None, description="this client's certificate, for mutual TLS")
    key_file: str | None = Field(default=None, description="its private key")
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] | None = Field(
        default=None, description="how this client proves who it is"
    )
    username: str | None = Field(default=None, description="its name")
    password: str | None = Field(default=None, description="its password; better in the environment than in a file")
    replication: int = Field(default=1, ge=1, description="copies of each partition of the topics that are created")
    settings: dict[str, str | int | float | bool] = Field(default={}, description="further librdkafka settings")


class Servers(Node):
    """The servers of one app. A server that the file does not name is not used."""

    events: str | None = Field(
        default=None,
        description="kafka://host:port,host:port/topic, redis-stream://host/db/key, or rediss-stream:// (TLS)",
    )
    outcomes: str | None = Field(default=None, description="where outcomes come from")
    decisions: str | None = Field(default=None, description="where decisions go")
    dead_letters: str | None = Field(default=None, description="where unreadable events and outcomes go")
    features: str | None = Field(default=None, description="redis://host:port/db, rediss://, or redis+cluster://")
    journal: str | None = Field(default=None, description="postgresql://user:password@host:port/database")
    models: str | None = Field(
        default=None, description="where versions' files are: s3://bucket/folder, gs://, abfs://, or file:///folder on "
        "a disk that all machines see; their index is in the journal's database"
    )  # fmt: skip
    models_cache: str = Field(default="homeostat-models", description="folder where fetched versions are kept")
    group: str | None = Field(
        default=None, description="name that workers share events under, the app's when absent; on Kafka they share "
        "outcomes under it and `.outcomes`, on Redis under the same"
    )  # fmt: skip
    partitions: int = Field(default=6, ge=1, le=10_000, description="of the topics that are created: the most workers")
    encoding: Literal["json"] = Field(default="json", description="how messages are written")
    batch_rows: int = Field(
        default=1000, ge=1, le=65_536, description="events decided together at the most, by a worker or of requests "
        "that wait; a larger request is decided at once"
    )  # fmt: skip
    batch_rows_min: Annotated[int, Field(ge=1, le=65_536)] | None = Field(
        default=None, description="the batches of a worker or a server follow its load, from this bound to "
        "`batch_rows`; the bound is always `batch_rows` when absent"
    )  # fmt: skip
    outcome_wait: Duration = Field(
        default=duration_ns("1m"), description="how long an outcome waits for its event to be decided; then it is a "
        "dead letter"
    )  # fmt: skip
    batch_wait: Duration = Field(default=duration_ns("10ms"), description="how long a batch waits for more events")
    skew: Duration = Field(
        default=duration_ns("1d"), description="how far the shared entities' events may arrive out of order, because "
        "partitions are read independently; logs are kept that much longer"
    )  # fmt: skip
    features_down: Literal["stale", "absent"] = Field(
        default="stale", description="what windows a decision sees while the feature store is away"
    )
    memory_mb: int = Field(
        default=4096, ge=64, description="about the most that a process remembers of the feature store's logs; then "
        "it forgets them, and reads them again as they are needed"
    )  # fmt: skip
    memory_mb_min: Annotated[int, Field(ge=64)] | None = Field(
        default=None, description="the memory for logs follows that of the machine, from this bound to `memory_mb`; "
        "the bound is always `memory_mb` when absent"
    )  # fmt: skip
    show_every: Duration = Field(
        default=duration_ns("1s"), description="how often an entity's shown values are renewed"
    )
    spool: str = Field(default="homeostat-spool", description="folder where the journal waits while its server is away")
    spool_max_mb: int = Field(default=4096, ge=1, description="the most that waits there; then events are refused")
    learning_wait: Duration = Field(
        default=0, description="how long the first event after a moment of the learning grid waits for what is learned "
        "at it: with one worker and one partition, decisions are then those of one process; 0s decides it at once"
    )  # fmt: skip
    learning_stale: Duration = Field(
        default=duration_ns("5m"), description="how old the learning may be that is decided with; beyond it /readyz, "
        "metrics and doctor say so"
    )  # fmt: skip
    retention: Duration | None = Field(default=None, description="the journal's days older than this are dropped")
    kafka: KafkaSettings = Field(default=KafkaSettings(), description="how Kafka is reached")

    @property
    def plain(self) -> dict[str, Any]:
        """The servers as JSON can hold it, passwords included: for another process of the same app.

        >>> Servers.model_validate(Servers(skew="2d").plain).skew == duration_ns("2d")
        True
        """
        found = self.model_dump(mode="json", exclude_none=True)
        spans = ("outcome_wait", "batch_wait", "skew", "show_every", "learning_stale", "learning_wait", "retention")
        return found | {name: f"{found[name] / 1e6:.6f}ms" for name in spans if name in found}


def read_servers(
    path: str | Path | None, environ: Mapping[str, str], app: str | Path | None = None,
    notice: Callable[[str], object] | None = None,
) -> Servers:  # fmt: skip
    """The servers that files' `servers` sections and the environment declare.

    path : a YAML file with a `servers` section; None for none
    environ : `HOMEOSTAT_SERVERS__JOURNAL=...` sets `journal`, `HOMEOSTAT_SERVERS__KAFKA__PASSWORD=...` sets
        `kafka.password`; these win over the files
    app : the app's own file, which may have such a section: what `path` says wins over it, key by key
    notice : called with a sentence for each file or variable that uses the former name, `world`
    Raises AppFileError that names the key and, of a wrong address, never its password.

    >>> read_servers(None, {"HOMEOSTAT_SERVERS__JOURNAL": "postgresql://user@127.0.0.1/db"}).journal
    'postgresql://user@127.0.0.1/db'
    """
    files = [Path(file) for file in (app, path) if file is not None]
    source = " and ".join(map(str, files)) or "the environment"
    declared: dict[str, Any] = {}
    for file in files:
        declared = _over(declared, _section(file, notice))
    for name, value in _variables(environ, notice).items():
        _put(declared, [step.lower() for step in name.split("__")], value)
    try:
        servers = Servers.model_validate(declared)
    except ValidationError as error:
        raise AppFileError(
            [_fault(source, found) for found in error.errors(include_url=False, include_input=False)]
        ) from None
    faults = [
        fault
        for name, schemes in _SCHEMES.items()
        if (fault := _address(source, name, getattr(servers, name), schemes))
    ]
    for name in ("batch_rows", "memory_mb"):
        low, high = getattr(servers, f"{name}_min"), getattr(servers, name)
        if low is not None and low > high:
            faults.append(Fault(source, 1, 1, f"servers.{name}_min", f"should be at most {name}, which is {high:,}"))
    if faults:
        raise AppFileError(faults)
    return servers


def accept_former_name(root: YamlNode) -> bool:
    """Call a `world` section `servers`; whether there was one. Where both are there, `world` stays: it is a fault."""
    if not isinstance(root.value, dict) or FORMER_SECTION not in root.value or SECTION in root.value:
        return False
    root.value[SECTION] = root.value.pop(FORMER_SECTION)
    root.keys[SECTION] = root.keys.pop(FORMER_SECTION)
    return True


def _variables(environ: Mapping[str, str], notice: Callable[[str], object] | None) -> dict[str, str]:
    """The variables that name servers, without their prefix; the present prefix wins over the former one."""
    former = {name[len(FORMER_PREFIX) :]: value for name, value in environ.items() if name.startswith(FORMER_PREFIX)}
    if former and notice is not None:
        names = ", ".join(FORMER_PREFIX + name for name in sorted(former))
        notice(f"{names}: these variables begin with {PREFIX} now; the former names are still read")
    return former | {name[len(PREFIX) :]: value for name, value in environ.items() if name.startswith(PREFIX)}


def _section(path: Path, notice: Callable[[str], object] | None) -> dict[str, Any]:
    source = str(path)
    try:
        data = path.read_bytes()
        text = data[: BYTES_MAX + 1].decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise AppFileError([Fault(source, 1, 1, "", f"the file can't be read: {reason}")]) from None
    if len(data) > BYTES_MAX:
        raise AppFileError([Fault(source, 1, 1, "", f"the file is larger than {BYTES_MAX >> 20} MiB")])
    root, faults = compose(text, source, "servers:")
    if faults:
        raise AppFileError(faults)
    if accept_former_name(root):
        if notice is not None:
            notice(f"{path}: the section `{FORMER_SECTION}` is called `{SECTION}` now; the former name is still read")
    elif root.child(FORMER_SECTION) is not None:
        message = f"`{FORMER_SECTION}` is the former name of `{SECTION}`: keep one of the two sections"
        raise AppFileError([root.fault(message, key=FORMER_SECTION)])
    found = root.child(SECTION)
    section = {} if found is None else found.plain() or {}
    if not isinstance(section, dict):
        raise AppFileError([Fault(str(path), 1, 1, "servers", "`servers` should be a mapping of names to addresses")])
    return section


def _over(declared: dict[str, Any], later: dict[str, Any]) -> dict[str, Any]:
    """Both, the later one's values where both have one; mappings key by key."""
    both = declared | later
    for name, value in later.items():
        earlier = declared.get(name)
        if isinstance(value, dict) and isinstance(earlier, dict):
            both[name] = _over(earlier, value)
    return both


def _put(declared: dict[str, Any], steps: list[str], value: str) -> None:
    for step in steps[:-1]:
        inner = declared.get(step)
        declared[step] = declared = dict(inner) if isinstance(inner, dict) else {}
    declared[steps[-1]] = value


def _fault(source: str, found: Any) -> Fault:
    path = ".".join(map(str, ("servers", *found["loc"])))
    known = [*Servers.model_fields, *KafkaSettings.model_fields]
    meant = nearest(str(found["loc"][-1]), known) if found["type"] == "extra_forbidden" else None
    message = "there is no such setting" if found["type"] == "extra_forbidden" else str(found["msg"])
    return Fault(source, 1, 1, path, message, meant)


def _address(source: str, name: str, address: str | None, schemes: tuple[str, ...]) -> Fault | None:
    if address is None:
        return None
    try:
        scheme = urlsplit(address).scheme
    except ValueError as error:
        return Fault(source, 1, 1, f"servers.{name}", f"this is no address: {error}")
    if scheme in schemes and "://" in address:
        return None
    written = " or ".join(f"{known}://" for known in schemes)
    return Fault(
        source, 1, 1, f"servers.{name}", f"an address of {name} begins with {written}", nearest(scheme, schemes)
    )
