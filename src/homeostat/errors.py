"""Every error that homeostat raises for its callers, as one tree.

`HomeostatError` is the root. The branches that several parts raise are here. Those of one part are beside it, and
`homeostat.NAME` finds each of them.

>>> issubclass(DataFolderInUse, Unavailable) and issubclass(Unavailable, HomeostatError)
True
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec


class HomeostatError(Exception):
    """Something can't be done; the text says what is wrong and what to do.

    why, remedy : the reason, and what to do. Both have a value for each class, for when an error names none

    >>> str(HomeostatError("the file can't be read", why="it is a folder", remedy="name a file"))
    "the file can't be read: it is a folder; name a file"
    """

    why = "homeostat can't go on with what it was given"
    remedy = "Do what the text of the error says"

    def __init__(self, *args: object, why: str = "", remedy: str = "") -> None:
        super().__init__(*args)
        if why:
            self.why = why
        if remedy:
            self.remedy = remedy

    def __str__(self) -> str:
        given = vars(self)
        text = str(self.args[0]) if len(self.args) == 1 else ", ".join(map(str, self.args))
        text += f": {given['why']}" if "why" in given else ""
        return text + (f"; {given['remedy']}" if "remedy" in given else "")

    @property
    def what(self) -> str:
        """The fault, in a sentence."""
        return str(self)


class MissingExtra(HomeostatError, ImportError):
    """A package of an extra is not installed. It is never waited for, since only an installation helps.

    extra : the extra to install, such as `redis`
    """

    why = "the base install is small: what only some apps need comes with an extra"
    remedy = "Install the extra that the text names"
    extra = ""


class Unavailable(HomeostatError):
    """The world fails: a disk is full, a server is gone. Nothing was lost; the caller may try again."""

    why = "a disk or a server that homeostat needs does not do its work now"
    remedy = "Start the server or free the disk, then try again; homeostat doctor looks at both"


class DataFolderInUse(Unavailable):
    """Another process has the folder or file. One process at a time writes there."""

    why = "one process at a time writes to a data folder"
    remedy = "Stop the other process, or name another folder"


class Conflict(HomeostatError):
    """The existing data contradicts what is asked. Nothing was changed."""

    why = "another process, or an earlier run, left something else there"
    remedy = "Look at what is there; then choose which of the two should count"


@contextmanager
def needs(extra: str, purpose: str) -> Iterator[None]:
    """Import what an extra brings. Any ImportError inside becomes MissingExtra, with what to install.

    extra : its name in the package's metadata
    purpose : the subject of the sentence, such as `training`

    >>> with needs("train", "training"):  # doctest: +ELLIPSIS
    ...     import package_that_is_not_there
    Traceback (most recent call last):
        ...
    homeostat.errors.MissingExtra: training needs package_that_is_not_there: pip install ...
    """
    try:
        yield
    except MissingExtra:
        raise
    except ImportError as error:
        raise missing(extra, purpose, error) from error


def present(*packages: str) -> None:
    """Raise ModuleNotFoundError for the first package that is not installed. None is imported, which may take long."""
    for package in packages:
        if find_spec(package) is None:
            raise ModuleNotFoundError(f"No module named {package!r}", name=package)


def install(extra: str) -> str:
    """The command that installs an extra, and the one that does so in a checkout.

    >>> install("redis")
    "pip install 'homeostat[redis]' (from a checkout: pip install '.[redis]')"
    """
    return f"pip install 'homeostat[{extra}]' (from a checkout: pip install '.[{extra}]')"


def missing(extra: str, purpose: str, error: ImportError) -> MissingExtra:
    """The error that says how to install an extra.

    error : why the import failed; a package that is there and broken is named as such
    """
    package = (error.name or "").partition(".")[0] or "more packages"
    broken = "" if isinstance(error, ModuleNotFoundError) or not error.name else f", which fails here ({error})"
    made = MissingExtra(f"{purpose} needs {package}{broken}: {install(extra)}")
    made.extra = extra
    made.name = error.name
    return made
