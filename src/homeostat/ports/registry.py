"""The registry: every version of an app's models, immutable and named by content. Deployments are changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol

from homeostat.errors import Conflict, HomeostatError


class UnknownVersion(HomeostatError, LookupError):
    """The registry has no such version, or more than one whose name begins so."""

    why = "a version is named by the hash of its content"
    remedy = "homeostat models list shows the versions that there are"


class InUse(Conflict):
    """A version decides, or decided within the retention; it was not deleted."""

    why = "decisions of that time could not be made again without it"
    remedy = "Wait until the retention is over, or say --force"


class RegistryError(HomeostatError):
    """A registry holds another app's versions, another version's form, or damaged entries; the text says which."""

    why = "a registry is read by the app and a version that know its form, and only undamaged"
    remedy = "Name the right folder or database, or restore the registry from a backup"


@dataclass(frozen=True, slots=True)
class Lineage:
    """Where a version comes from.

    app : the app's name
    fingerprint : of the app file that it was trained with
    source : the events that it was trained on: a journal's head, or a file's SHA-256
    trained_from, trained_until : the training window, in event time
    code : the program's version
    parents : versions that it follows from
    metrics : figures at training
    actor, reason : who made it, and why
    """

    app: str
    fingerprint: str = ""
    source: str = ""
    trained_from: str = ""
    trained_until: str = ""
    seed: int | None = None
    code: str = ""
    parents: tuple[str, ...] = ()
    metrics: Mapping[str, Any] = field(default_factory=dict)
    actor: str = ""
    reason: str = ""

    def as_json(self) -> dict[str, Any]:
        """As a JSON object.

        >>> Lineage.of_json(Lineage("pay", parents=("1f",)).as_json()) == Lineage("pay", parents=("1f",))
        True
        """
        return {**asdict(self), "parents": list(self.parents), "metrics": dict(self.metrics)}

    @classmethod
    def of_json(cls, stored: Mapping[str, Any]) -> Lineage:
        """From a JSON object; members that a later version added are left out. Raises ValueError, TypeError."""
        facts = {name: stored[name] for name in _MEMBERS if name in stored}
        return cls(**{**facts, "parents": tuple(facts.get("parents", ()))})


_MEMBERS = tuple(item.name for item in fields(Lineage))


@dataclass(frozen=True, slots=True)
class Version:
    """One version.

    version : hash of its content
    number : counts the app's versions, from 1 on
    size : bytes of its files
    deleted_ns : when its files were deleted; None while they are there
    deleted_by, deleted_why : who deleted them, and why
    """

    version: str
    number: int
    created_ns: int
    size: int
    lineage: Lineage
    deleted_ns: int | None = None
    deleted_by: str = ""
    deleted_why: str = ""


_DIGITS_MAX = 12  # A number of more digits is none.


def number_in(name: str) -> int:
    """The number that a text means, -1 where it is none.

    >>> number_in("12"), number_in("1f")
    (12, -1)
    """
    return int(name) if name.isascii() and name.isdigit() and len(name) < _DIGITS_MAX else -1


def one_of(name: str, found: Sequence[Version]) -> Version:
    """The version that a text means among those that it may mean: by its name, its number, or the name's beginning.

    Raises UnknownVersion.
    """
    exact = [one for one in found if one.version == name] or [one for one in found if one.number == number_in(name)]
    fitting = exact or [one for one in found if name and one.version.startswith(name)]
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        raise UnknownVersion(f"there is no version {name!r}: homeostat models list shows those that there are")
    listed = ", ".join(f"{one.version} (number {one.number})" for one in fitting[:3])
    raise UnknownVersion(f"{name!r} may mean {listed}: write more of the name")


def unchecked() -> None:
    """Let a version be deleted, in use or not."""


class Registry(Protocol):
    """The versions of one app.

    Every method raises Unavailable where its store fails, and RegistryError where the store holds something else.
    """

    def put(self, bundle: Path, lineage: Lineage) -> Version:
        """Keep a bundle's files; twice is once, and the first lineage stays.

        A version that was deleted is there again, with its old number. Raises BundleError for a folder that is none,
        or of another app than the lineage.
        """
        ...

    def get(self, version: str) -> Version:
        """A version by its name, its beginning where that is of one version alone, or its number as text.

        Also one that was deleted. Raises UnknownVersion.
        """
        ...

    def fetch(self, version: str) -> Path:
        """A local folder with the version's files, whole and checked.

        Raises UnknownVersion, also where it was deleted, and BundleError where the files were damaged.
        """
        ...

    def versions(self, limit: int | None = None, below: int | None = None) -> Sequence[Version]:
        """The versions, deleted ones included, newest first; with `below`, those with a smaller number."""
        ...

    def keeping(self) -> AbstractContextManager[None]:
        """While it is held, no process deletes a version: an author holds it to look for a version and deploy it."""
        ...

    def delete(self, version: str, actor: str, reason: str, check_unused: Callable[[], None] = unchecked) -> Version:
        """Delete a version's files, and leave its entry as a tombstone. Raises UnknownVersion.

        check_unused : called while no version can be deployed; what it raises leaves everything as it was
        """
        ...

    def close(self) -> None:
        """Let go of files and servers."""
        ...
