"""Reading an app file: all that is wrong with it is reported together."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

from homeostat.config.faults import AppFileError, Fault, nearest
from homeostat.config.lists import read_lists
from homeostat.config.meaning import check_meaning
from homeostat.config.nodes import BYTES_MAX, YamlNode, compose
from homeostat.config.servers import accept_former_name
from homeostat.config.shape import shape
from homeostat.config.tree import App

_SHIPPED_NAME = re.compile(r"[a-z][a-z0-9_]*")


def shipped_apps() -> tuple[str, ...]:
    """The names of the apps that come along.

    >>> shipped_apps()
    ('access', 'infra', 'payments')
    """
    folders = resources.files("homeostat.apps").iterdir()
    return tuple(sorted(folder.name for folder in folders if folder.is_dir() and folder.joinpath("app.yaml").is_file()))


def load_app(path_or_name: str | Path, *, guards_from: str | Path | None = None) -> App:
    """The app in a file (or in `app.yaml` of a folder), or a shipped one by its name.

    guards_from : a file whose `guards` take the place of the app's own: a whole app file, or `guards` alone. The
        app's own fallback counts where they have none
    Raises AppFileError, whatever the file holds.
    """
    path = app_file(path_or_name)
    source = str(path_or_name) if path == Path(path_or_name) else str(path)
    root, faults = compose(_text(path, source), source)
    if guards_from is not None:
        other = Path(guards_from)
        replacement, more = compose(_text(other, str(other)), str(other), "guards:")
        faults += more
        _replace_guards(root, replacement)
        return _checked(root, faults, other.parent)
    return _checked(root, faults, path.parent)


def parse_app(text: str, source: str = "app.yaml", folder: Path | None = None) -> App:
    """The app that a text declares.

    source : what faults call the text
    folder : where list files lie; without it, a list file is a fault
    Raises AppFileError, whatever the text holds.
    """
    if len(text) > BYTES_MAX or len(text.encode("utf-8", "surrogatepass")) > BYTES_MAX:
        raise AppFileError([_too_large(source)])
    root, faults = compose(text, source)
    return _checked(root, faults, folder)


def _checked(root: YamlNode, faults: list[Fault], folder: Path | None) -> App:
    accept_former_name(root)
    shaped = shape(root)
    faults = [*faults, *shaped.faults, *check_meaning(shaped)]
    app = shaped.app
    if app is not None:
        app, found = read_lists(app, root, folder)
        faults += found
    if faults or app is None:
        raise AppFileError(faults or [root.fault("too much is wrong here to read the file")])
    return app


def _replace_guards(root: YamlNode, replacement: YamlNode) -> None:
    assert isinstance(root.value, dict) and isinstance(replacement.value, dict)
    guards = replacement.child("guards")
    if guards is None:
        raise AppFileError([replacement.fault("there is no `guards` here")])
    own, needed = root.child("guards"), "fallback"
    fallback = None if own is None else own.child(needed)
    if own is not None and fallback is not None and isinstance(guards.value, dict) and needed not in guards.value:
        guards.value[needed], guards.keys[needed] = fallback, own.keys[needed]  # Rules alone are a whole trial.
    root.value["guards"] = guards
    root.keys["guards"] = replacement.keys["guards"]


def app_file(path_or_name: str | Path) -> Path:
    """The file to read; a bare name is a shipped app's before it is a file's. Raises AppFileError."""
    path = Path(path_or_name)
    if isinstance(path_or_name, str) and _SHIPPED_NAME.fullmatch(path_or_name):
        if path_or_name in shipped_apps():
            return Path(str(resources.files("homeostat.apps").joinpath(path_or_name, "app.yaml")))
        if not _exists(path):
            message = f"there is neither a shipped app nor a file of this name; shipped: {', '.join(shipped_apps())}"
            raise AppFileError([Fault(path_or_name, 1, 1, "", message, nearest(path_or_name, shipped_apps()))])
    return path / "app.yaml" if _exists(path) and path.is_dir() else path


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _text(path: Path, source: str) -> str:
    try:
        if path.stat().st_size > BYTES_MAX:
            raise AppFileError([_too_large(source)])
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise AppFileError([Fault(source, 1, 1, "", f"the file can't be read: {reason}")]) from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        fault = Fault(source, line, column, "", f"this is not UTF-8 text: byte 0x{data[error.start]:02x}")
        raise AppFileError([fault]) from None


def _too_large(source: str) -> Fault:
    return Fault(source, 1, 1, "", f"the file is larger than {BYTES_MAX >> 20} MiB; long lists belong in list files")
