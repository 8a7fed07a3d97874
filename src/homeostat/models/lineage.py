"""Where a version comes from, as far as its bundle and its author say, and how two versions differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from homeostat.models.bundle import Bundle
from homeostat.ports.registry import Lineage, Version
from homeostat.records.software import VERSION
from homeostat.records.times import time_text

_METRICS = ("rows", "positives", "out_of_fold", "fused", "fairness", "study")
_ORIGINS = ("fingerprint", "source", "trained_from", "trained_until", "seed", "code", "parents", "actor", "reason")


def lineage_of(
    bundle: Bundle,
    actor: str,
    reason: str,
    *,
    fingerprint: str = "",
    source: str = "",
    parents: tuple[str, ...] = (),
    until_ns: int | None = None,
) -> Lineage:
    """The lineage of a bundle; its training window, seed and metrics are those that it names itself.

    until_ns : the moment of training; the last event that taught, where it is not known
    """
    about = bundle.about
    ends = (about.get("from_ns"), about.get("until_ns") if until_ns is None else until_ns)
    began, ended = ("" if end is None else time_text(int(end)) for end in ends)
    metrics = {name: about[name] for name in _METRICS if about.get(name) not in (None, {})}
    seed = about.get("seed")
    return Lineage(
        bundle.app, fingerprint, source, began, ended, seed if isinstance(seed, int) else None, VERSION, parents,
        metrics, actor, reason,
    )  # fmt: skip


def difference(one: Version, other: Version, bundles: tuple[Bundle, Bundle] | None) -> dict[str, Any]:
    """The differences between two versions, side by side: name -> [of one, of the other], None where it has none.

    bundles : of both; None where the files of one are gone
    """
    lineages = [{name: version.lineage.as_json()[name] for name in _ORIGINS} for version in (one, other)]
    metrics = [dict(flat(version.lineage.metrics)) for version in (one, other)]
    found: dict[str, Any] = {"lineage": _beside(lineages), "metrics": _beside(metrics, same=True)}
    if bundles is not None:
        found["settings"] = _beside([_settings(bundle) for bundle in bundles])
        found["features"] = _beside([_features(bundle) for bundle in bundles])
    return found


def flat(tree: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Nested mappings as one, its names joined by points.

    >>> flat({"fused": {"auc": 0.9, "by": {"x": 1}}, "rows": 5})
    {'fused.auc': 0.9, 'fused.by.x': 1, 'rows': 5}
    """
    found: dict[str, Any] = {}
    for name, value in tree.items():
        path = f"{above}.{name}" if above else str(name)
        found.update(flat(value, path) if isinstance(value, Mapping) else {path: value})
    return found


def _settings(bundle: Bundle) -> dict[str, Any]:
    """Each part's kind and settings, and the libraries that trained it."""
    parts = {name: {"kind": part.kind, **part.settings} for name, part in bundle.parts.items()}
    return flat({**parts, "libraries": bundle.about.get("libraries", {})})


def _features(bundle: Bundle) -> dict[str, Any]:
    """Each feature's meaning; its name alone where the bundle keeps none."""
    return {name: bundle.definitions.get(name, name) for name in bundle.features}


def _beside(both: Sequence[Mapping[str, Any]], same: bool = False) -> dict[str, list[Any]]:
    """The values of both by name, of those that differ; of all where `same`."""
    one, other = both
    names = dict.fromkeys((*one, *other))
    pairs = {name: [one.get(name), other.get(name)] for name in names}
    return {name: pair for name, pair in pairs.items() if same or pair[0] != pair[1]}
