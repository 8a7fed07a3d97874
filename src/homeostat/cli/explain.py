"""`homeostat explain`."""

from __future__ import annotations

from json import dumps
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from homeostat.cli.failures import CommandError
from homeostat.cli.journals import journal_in, shared_journal
from homeostat.cli.options import Bundle, Json


def explain(
    decision: str,
    /,
    *,
    data: Annotated[Path | None, Parameter(help="The --data folder of a server.")] = None,
    out: Annotated[Path | None, Parameter(help="The --out folder of a replay.")] = None,
    config: Annotated[
        Path | None, Parameter(help="A file with a `servers` section: its journal in PostgreSQL.")
    ] = None,
    app: Annotated[str | None, Parameter(help="The app that decided: a shipped app or an app file.")] = None,
    bundle: Bundle = None,
    words: Annotated[bool, Parameter(negative="", help="Let a language model word it, too.")] = False,
    words_url: Annotated[str | None, Parameter(help="Where it answers: Ollama, or a base ending in /v1.")] = None,
    words_model: Annotated[str | None, Parameter(help="Its name.")] = None,
    words_anywhere: Annotated[bool, Parameter(negative="", help="Let the facts leave this machine.")] = False,
    words_ids: Annotated[bool, Parameter(negative="", help="Tell it the event's id, too.")] = False,
    json: Json = False,
) -> None:
    """Say why a decision was made: what moved the risk, which rules held, and what would have changed the action.

    The language model is off unless --words is given; HOMEOSTAT_WORDING_URL, _MODEL and _KEY may say where it is. Its
    text is quoted, and has no authority.

    Parameters
    ----------
    decision
        The event's id.
    """
    folder = data or out
    if sum(place is not None for place in (data, out, config)) != 1:
        raise CommandError("where is the decision recorded? Give --data of a server, --out of a replay, or --config")
    model = _model(words_url, words_model, words_anywhere) if words else None
    told = _told_shared(decision, config, app, bundle) if folder is None else told_of(decision, folder, app, bundle)
    said = model.word(_facts(told, words_ids)) if model is not None else None
    if json:
        print(dumps(told if said is None else {**told, "words": said}))
        return
    from homeostat.adapters.process.printable import printable
    from homeostat.engine.explaining import sentences

    print("\n".join(map(printable, sentences(told))))
    if said is not None:
        print("\nA language model words it so (it may be wrong; the lines above are what is recorded):")
        print("\n".join(f"> {printable(line)}" for line in said.splitlines()))


def told_of(decision: str, folder: Path, app: str | None, bundle: Path | None) -> dict[str, Any]:
    """A recorded decision, with its features and explanation."""
    with journal_in(folder) as journal:
        found = journal.find_text(decision)
        if found is None:
            raise CommandError(f"no event {decision!r} was decided in {folder}: check the id")
        trained = folder / "bundle"
        return _told(journal, decision, found, bundle or (trained if trained.is_dir() else None), app, journal.app)


def _told_shared(decision: str, config: Path | None, app: str | None, bundle: Path | None) -> dict[str, Any]:
    """The same of a journal that several processes share."""
    with shared_journal(config, app) as journal:
        found = journal.find_text(decision)
        if found is None:
            raise CommandError(f"no event {decision!r} was decided in {journal.where}: check the id")
        return _told(journal, decision, found, bundle, app, journal.standing().app or "")


def app_that_decided(named: str, version: str) -> str:
    """The shipped app of a name, where it is the one of a decision's version. Raises CommandError: then nobody knows.

    Another app may have the same name.
    """
    from homeostat.app import fingerprint
    from homeostat.config.load import load_app, shipped_apps

    ask = f"which app decided? The journal calls it {named!r}: give --app with its app file"
    if named not in shipped_apps():
        raise CommandError(ask)
    if version.partition("+")[0] != f"{named}-{fingerprint(load_app(named))}":
        raise CommandError(
            f"{ask} (--app {named} for the shipped one, which is not the version {version} that decided)"
        )
    return named


def _told(journal: Any, decision: str, found: Any, bundle: Path | None, app: str | None, named: str) -> dict[str, Any]:
    from homeostat.adapters.process.clock import SystemClock
    from homeostat.app import Ports, brain, build
    from homeostat.engine.answers import answer, features_of, naming
    from homeostat.engine.assembly import bundle_of, prepare
    from homeostat.engine.explaining import explained

    decisions, row = found
    prepared = prepare(app or app_that_decided(named, decisions.version)).keyed(journal.coding)
    features = prepared.features
    ready = brain(prepared.app, features, bundle_of(prepared, bundle))
    if decisions.words.nameless:  # An older version kept no names: those of the app are the best there are.
        journal.assume(prepared.words)
        decisions, row = journal.find_text(decision) or found
    if not set(decisions.features.names) & set(features.names):
        raise CommandError(f"the decision's features are not those of {prepared.app.app}: give the --app that decided")
    loop = build(prepared.app, features, ready, Ports(journal, SystemClock(), prepared.coding, bounded=False))
    try:
        told = answer(decisions, row)
        told["features"] = features_of(decisions, row, naming(loop.stages, decisions))
        told["explanation"] = explained(loop.stages, prepared.app, decisions, row)
    finally:
        loop.close()
    return told


def _model(url: str | None, model: str | None, anywhere: bool) -> Any:
    from homeostat.adapters.language.wording import HttpWording, WordingSettings

    settings = WordingSettings.from_environment(url=url, model=model, anywhere=anywhere)
    if settings is None:
        raise CommandError("which model is to word it? Give --words-url, or HOMEOSTAT_WORDING_URL")
    try:
        return HttpWording(settings)
    except ValueError as error:
        raise CommandError(str(error)) from error


def _facts(told: dict[str, Any], ids: bool) -> str:
    """The facts that a model may see: the explanation's own lines; the event's id only if asked."""
    from homeostat.engine.explaining import sentences

    return "\n".join(sentences(told if ids else {**told, "event_id": "One event"}))
