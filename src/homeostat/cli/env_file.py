"""Settings and secrets from a `.env` file: into the environment of this process, which wins over the file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING

from homeostat.cli.failures import CommandError

if TYPE_CHECKING:
    from dotenv.parser import Binding

USUAL = ".env"
VARIABLE = "HOMEOSTAT_ENV_FILE"
SERVERS, FORMER_SERVERS = "HOMEOSTAT_SERVERS__", "HOMEOSTAT_WORLD__"
# Only these are taken: a `.env` file in a working folder is often another program's, and PATH or PYTHONPATH would let
# whoever wrote it run code here.
PREFIXES = (
    SERVERS,
    FORMER_SERVERS,
    "HOMEOSTAT_ANNOUNCE__",
    "HOMEOSTAT_WORDING_",
    "HOMEOSTAT_LOG",
    "HOMEOSTAT_ALLOW_HOSTS",
    "OTEL_",
)
_OWN = "HOMEOSTAT_"
_OTHERS_MAY = 0o077  # Any right of the group or of everybody.


def take_env_file(environment: MutableMapping[str, str] = os.environ, folder: Path = Path()) -> list[str]:
    """Add the file's settings to the environment where that has none; the warnings about it, a sentence each.

    The file is the one that HOMEOSTAT_ENV_FILE names (none where that is empty), else `.env` in the folder, if it is
    there. No message holds a value. Raises CommandError where the file can't be read, by its line.
    """
    named = environment.get(VARIABLE)
    path = folder / (USUAL if named is None else named)
    if named == "" or (named is None and not path.is_file()):
        return []
    found = _settings(path)
    taken = {name: value for name, value in found.items() if name.startswith(PREFIXES)}
    for name, value in taken.items():
        if not _is_set(name, environment):
            environment[name] = value
    return [*_open_to_others(path, taken), *_unknown(path, found.keys() - taken)]


def _settings(path: Path) -> dict[str, str]:
    """The file's settings by name; of several of one name the last counts. Values are taken literally."""
    from io import StringIO

    from dotenv.parser import parse_stream

    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise CommandError(f"{path} is no UTF-8 text: save it as UTF-8, with a NAME=value on each line") from None
    except OSError as error:
        raise CommandError(
            f"{path} can't be read ({error.strerror}): mend that, name another by {VARIABLE}, or none by an empty one"
        ) from error
    return dict(pair for line in parse_stream(StringIO(text)) if (pair := _pair(path, line)) is not None)


def _pair(path: Path, line: Binding) -> tuple[str, str] | None:
    """A line's name and value; None for a comment, an empty line, and a bare name that is another program's."""
    blank = len(line.original.string) - len(line.original.string.lstrip())
    where = f"{path}, line {line.original.line + line.original.string[:blank].count(chr(10))}"
    if line.error:
        raise CommandError(f"{where}: this is no NAME=value; put a value with spaces or # into single quotes")
    if line.key is None or (line.value is None and not line.key.startswith(PREFIXES)):
        return None
    if line.value is None:
        raise CommandError(f"{where}: {line.key[:60]} has no value; write {line.key[:60]}= for an empty one")
    if "\0" in line.value or "\0" in line.key:
        raise CommandError(f"{where}: there is a NUL character, which no variable can hold: remove it")
    return line.key, line.value


def _is_set(name: str, environment: Mapping[str, str]) -> bool:
    """Whether the environment has a setting, be it under its former name, even as an empty text."""
    former = FORMER_SERVERS + name.removeprefix(SERVERS)
    return name in environment or (name.startswith(SERVERS) and former in environment)


def _open_to_others(path: Path, taken: Mapping[str, str]) -> Iterator[str]:
    mode = path.stat().st_mode
    if taken and mode & _OTHERS_MAY:
        yield f"{path} can be read or written by others (mode {mode & 0o777:o}): chmod 600 {path}"


def _unknown(path: Path, names: set[str]) -> Iterator[str]:
    """A warning of names that look like ours and are none; those of other programs are theirs."""
    ours = sorted(name[:60] for name in names if name.startswith(_OWN))
    if ours:
        yield f"{path} sets {', '.join(ours)}, which is not taken from a file: see docs/cli.md"
