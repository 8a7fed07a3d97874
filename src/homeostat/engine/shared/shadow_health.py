"""How the challenger in shadow is, for `homeostat doctor`."""

from __future__ import annotations

from collections.abc import Iterator

from homeostat.engine.shared.health import Diagnosis
from homeostat.models.deployments import CHALLENGER, deployed_at
from homeostat.ports.settings import Settings
from homeostat.ports.shadow import ShadowStore

BEHIND_S_MAX = 60.0


def of_shadow(settings: Settings, store: ShadowStore, now_ns: int) -> Iterator[Diagnosis]:
    """Whether a process decides for the challenger, and keeps up; nothing where there is no challenger.

    Raises Unavailable, SettingsError.
    """
    version = deployed_at(settings, now_ns, CHALLENGER).version
    if version is None:
        return
    held = store.held().get(version)
    if held is None or not held.lives:
        mend = "A server or worker starts one, unless the app file says start: false; then run homeostat shadow."
        yield Diagnosis("challenger", "warning", f"no process decides for version {version} in shadow", mend)
        return
    state = held.state
    seen = f"version {version} decided {state.events:,} events in shadow, {state.differing:,} of them otherwise"
    if state.trouble:
        mend = "Mend the version, or give the role to another one; the champion's decisions are not touched by it."
        yield Diagnosis("challenger", "warning", f"{seen}; {state.trouble}", mend)
    elif state.behind_s > BEHIND_S_MAX:
        mend = "It has the processor only where nobody else wants it: if the figure grows, use a larger machine."
        yield Diagnosis("challenger", "warning", f"{seen}; it is {state.behind_s:,.0f} s behind", mend)
    else:
        yield Diagnosis("challenger", "ok", seen)
