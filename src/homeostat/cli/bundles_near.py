"""Trained bundles that lie near an app file, for a person who did not name one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from homeostat.errors import HomeostatError

if TYPE_CHECKING:
    from homeostat.engine.assembly import Prepared

_LOOKED_AT_MAX = 200  # Folders that are looked at, so that a home folder with thousands costs no time.


def bundle_near(prepared: Prepared, app: str) -> Path | None:
    """The newest bundle that was trained for an app and fits it, in the working folder or beside the app file.

    Both folders themselves, and those directly in them, are looked at. None where none fits.
    app : a shipped name, or the path of an app file
    """
    from homeostat.engine.assembly import fitting_bundle

    places = [Path()]
    if Path(app).suffix in {".yaml", ".yml"} and Path(app).parent != Path():
        places.append(Path(app).parent)
    found = [one for place in places for one in _bundles_in(place)]
    for path in sorted(found, key=_written, reverse=True):
        with suppress(HomeostatError, OSError):
            if fitting_bundle(path, prepared).app == prepared.app.app:
                return path
    return None


def _bundles_in(place: Path) -> Iterator[Path]:
    with suppress(OSError):
        inside = sorted(one for one in islice(place.iterdir(), 10 * _LOOKED_AT_MAX) if one.is_dir())
        yield from (one for one in (place, *inside[:_LOOKED_AT_MAX]) if (one / "manifest.json").is_file())


def _written(path: Path) -> float:
    return (path / "manifest.json").stat().st_mtime
