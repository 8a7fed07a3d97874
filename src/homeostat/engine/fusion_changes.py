"""Whether the champion was trained with the fusion that a change asks for, looked at before the change is stored."""

from __future__ import annotations

from homeostat.app import untrained_fusion
from homeostat.decide.fusion.ensemble import fusion_part
from homeostat.models.bundle import load_bundle
from homeostat.models.deployments import CHAMPION, scope_of, version_in
from homeostat.ports.registry import Registry
from homeostat.ports.settings import Settings
from homeostat.records.changes import Change, ChangeKind

_UNTRAINED = "weighted"  # The declared weights need no training.


def check_fusion(change: Change, settings: Settings, registry: Registry | None) -> None:
    """Raise NotTrained where a change names a fusion that the champion was not trained with.

    registry : where the champion is; None where there is none
    Nothing is known of the bundle that a process was started with: such a process refuses the change by itself.
    """
    if change.kind != ChangeKind.FUSION or change.body is None or registry is None:
        return
    name, last = str(change.body.get("name", "")), settings.last_of(scope_of(CHAMPION))
    version = None if last is None else version_in(last.body)
    if version is None or name == _UNTRAINED:
        return
    bundle = load_bundle(registry.fetch(version))
    if fusion_part(bundle.parts, name, named=True) is None:
        raise untrained_fusion(bundle.app, name, bundle)
