"""The session of a process, among which Linux may share the processor first."""

from __future__ import annotations

import os
from contextlib import suppress


def session_gives_way(niceness: int) -> None:
    """Let this process's session give way as a whole; nothing where others are in it that did not ask for this.

    Linux may share the processor among sessions first. Niceness counts only inside of one then.
    """
    if not hasattr(os, "getsid") or os.getsid(0) != os.getpid():
        return
    with suppress(OSError), open("/proc/self/autogroup", "w") as group:
        group.write(str(niceness))
