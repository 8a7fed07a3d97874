"""`homeostat evaluate`."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from json import dumps
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from homeostat.cli.failures import CommandError
from homeostat.cli.instants import instant
from homeostat.cli.options import Json
from homeostat.cli.progress import shown
from homeostat.cli.version_stores import Config, Data, Stores, stores_of

Finding = Literal["worse", "not-better", "unfair", "not-fair"]


def evaluate(
    app: str,
    events: Path,
    /,
    *,
    from_: Annotated[str, Parameter(name="--from", help="Decide the events since then; older ones fill the windows.")],
    until: Annotated[str, Parameter(help="Decide the events before then.")],
    out: Path,
    bundle: Annotated[
        str | None,
        Parameter(help="A trained bundle, or a version of --data or --config; the shipped bundle when absent."),
    ] = None,
    against: Annotated[str | None, Parameter(help="A second one, beside which the first is judged.")] = None,
    outcomes: Annotated[
        Path | None, Parameter(help="A file of event_id, label and time: when each became known.")
    ] = None,
    fail_on: Annotated[
        list[Finding] | None,
        Parameter(help="Exit with 1 where this was found. Give it again for more.", negative=""),
    ] = None,
    alpha: Annotated[float, Parameter(help="How likely the judgement's PASS or FAIL may be wrong.")] = 0.05,
    margin: Annotated[float, Parameter(help="How much dearer an event may be, in the app's currency.")] = 0.0,
    robust_rows: Annotated[
        int, Parameter(help="Events that are decided again under each fault; 0 leaves the faults out.")
    ] = 100_000,
    data: Data = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Evaluate a version on recorded events: quality, calibration, segments, robustness, fairness, cost, latency.

    Exits with 0 whatever was found, unless --fail-on names it.

    Parameters
    ----------
    app
        A shipped app (payments, access, infra) or an app file.
    events
        A .parquet, .csv, .jsonl or .jsonl.gz file.
    out
        The folder for report.html, report.json and model-card.md; only an older evaluation there is replaced.
    """
    from homeostat.jobs.evaluation.evaluate import Request
    from homeostat.jobs.evaluation.evaluate import evaluate as run

    from_ns, until_ns = instant(from_), instant(until)
    assert from_ns is not None
    assert until_ns is not None
    _check(from_ns < until_ns, f"nothing lies between --from {from_} and --until {until}: give an earlier --from")
    _check(0.0 < alpha < 1.0 and 0.0 <= margin < float("inf"), "--alpha is above 0 and below 1, --margin 0 or more")
    _check(robust_rows >= 0, "--robust-rows is 0 or more")
    wanted = fail_on or []
    _can_be_found(wanted, app, against)
    with ExitStack() as opened:
        kept = opened.enter_context(stores_of(data, config)) if data is not None or config is not None else None
        request = Request(
            events, out, from_ns, until_ns, _folder(bundle, kept), _folder(against, kept), outcomes, alpha, margin,
            robust_rows,
        )  # fmt: skip
        with shown("evaluate") as progress:
            report = run(app, request, progress)
    if json:
        print(dumps(report, allow_nan=False))
    else:
        from homeostat.cli.evaluation_view import lines

        print("\n".join(lines(report)))
        print(f"plots and tables: {out / 'report.html'}", file=sys.stderr)
    bad = [name for name in wanted if _found(name, report)]
    if bad:
        raise CommandError(f"--fail-on {', '.join(bad)}: {'; '.join(_why(name, report) for name in bad)}")


def _check(holds: bool, fault: str) -> None:
    if not holds:
        raise CommandError(fault)


def _can_be_found(wanted: list[Finding], app: str, against: str | None) -> None:
    """Raises CommandError where nothing could ever be found, so that no pipeline passes by silence."""
    from homeostat.config.load import load_app

    if not wanted:
        return
    tree = load_app(app)
    judged, fair = {"worse", "not-better"} & set(wanted), {"unfair", "not-fair"} & set(wanted)
    _check(not judged or against is not None, "worse than which version? --fail-on worse or not-better need --against")
    _check(not judged or bool(tree.costs), f"{tree.app} declares no costs, so no version can be better or worse")
    _check(
        not fair or tree.fairness is not None, f"{tree.app} declares no groups under `fairness`, so none are compared"
    )


def _found(name: Finding, report: dict[str, Any]) -> bool:
    verdict = (report["fairness"] if name in ("unfair", "not-fair") else report["judgement"])["verdict"]
    return bool(verdict == "FAIL" if name in ("worse", "unfair") else verdict != "PASS")


def _why(name: Finding, report: dict[str, Any]) -> str:
    if name in ("worse", "not-better"):
        return f"{report['judgement']['verdict']}: {report['judgement']['why']}"
    found = report["fairness"]
    whys = [bound["why"] for bound in found["bounds"] if bound["verdict"] != "PASS"]
    return f"{found['verdict']}: {'; '.join(whys) or 'no bound is declared'}"


def _folder(named: str | None, kept: Stores | None) -> Path | None:
    """The folder of a bundle, or of a version's files. Raises UnknownVersion, BundleError."""
    if named is None or kept is None:
        return None if named is None else Path(named)
    from homeostat.models.deployments import usable

    return kept.registry.fetch(usable(kept.registry, named).version)
