"""Settings from this process's environment variables."""

from __future__ import annotations

import getpass
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeostat.config.links import LinkSettings
    from homeostat.config.servers import Servers


def servers_of(config: str | Path | None, app: str | Path | None = None) -> Servers:
    """The servers of an app file, of another file, and of the environment: each wins over those before it.

    app : a file, or a shipped app's name. Raises AppFileError
    A former name (`world`, `HOMEOSTAT_WORLD__...`) is read with a notice in the log.
    """
    from homeostat.config.servers import read_servers  # It takes pydantic and YAML along.

    if app is None:
        return read_servers(config, os.environ, None, logging.getLogger("homeostat").warning)
    from homeostat.config.load import app_file  # Knows all that an app file may say: not for those that name none.

    return read_servers(config, os.environ, app_file(app), logging.getLogger("homeostat").warning)


def links() -> LinkSettings | None:
    """The settings of links to answer plans with; None where the environment has none. Raises AppFileError."""
    from homeostat.config.links import read_links

    return read_links(os.environ)


def allowed_hosts() -> tuple[str, ...]:
    """The names in HOMEOSTAT_ALLOW_HOSTS, with commas between: by these a server may be called, too."""
    return tuple(name.strip() for name in os.environ.get("HOMEOSTAT_ALLOW_HOSTS", "").split(",") if name.strip())


def names_journal() -> bool:
    """Whether the environment names a journal."""
    from homeostat.config.servers import FORMER_PREFIX, PREFIX

    return any(f"{prefix}JOURNAL" in os.environ for prefix in (PREFIX, FORMER_PREFIX))


def user() -> str:
    """The user of this system; `unknown` where it has no name, as in some containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
