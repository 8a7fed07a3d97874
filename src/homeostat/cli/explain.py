"""`homeostat explain`."""

from __future__ import annotations

from contextlib import closing
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from homeostat.adapters.process import compiling
from homeostat.cli.failures import CommandError
from homeostat.cli.journals import journal_in, shared_journal
from homeostat.cli.options import Bundle, Json
from homeostat.cli.progress import say

if TYPE_CHECKING:
    from homeostat.engine.answer_types import Decision
    from homeostat.ports import NamedJournal, Wording
    from homeostat.records.decisions import DecisionBatch


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
    with compiling.said(say):
        shown = shared_of(decision, config, app, bundle) if folder is None else shown_of(decision, folder, app, bundle)
    said = model.word(_facts(shown, words_ids)) if model is not None else None
    if json:
        print(dumps(shown if said is None else {**shown, "words": said}))
        return
    from homeostat.adapters.process.printable import printable
    from homeostat.engine.explaining import sentences

    print("\n".join(map(printable, sentences(shown))))
    if said is not None:
        print("\nA language model words it so (it may be wrong; the lines above are what is recorded):")
        print("\n".join(f"> {printable(line)}" for line in said.splitlines()))


def shown_of(decision: str, folder: Path, app: str | None, bundle: Path | None) -> Decision:
    """A recorded decision, with its features and explanation."""
    with journal_in(folder) as journal:
        found = journal.find_text(decision)
        if found is None:
            raise CommandError(f"no event {decision!r} was decided in {folder}: check the id")
        trained = folder / "bundle"
        return _shown(journal, decision, found, bundle or (trained if trained.is_dir() else None), app)


def shared_of(decision: str, config: Path | None, app: str | None, bundle: Path | None) -> Decision:
    """The same of a journal that several processes share."""
    with closing(shared_journal(config, app)) as journal:
        found = journal.find_text(decision)
        if found is None:
            raise CommandError(f"no event {decision!r} was decided in {journal.where}: check the id")
        return _shown(journal, decision, found, bundle, app)


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


def _shown(
    journal: NamedJournal, decision: str, found: tuple[DecisionBatch, int], bundle: Path | None, app: str | None
) -> Decision:
    from homeostat.adapters.process.clock import SystemClock
    from homeostat.app import Ports, brain, build
    from homeostat.engine.answers import answer, features_of, naming
    from homeostat.engine.assembly import bundle_of, prepare
    from homeostat.engine.explaining import explained

    decisions, row = found
    prepared = prepare(app or app_that_decided(journal.app, decisions.version)).keyed(journal.coding)
    features = prepared.features
    ready = brain(prepared.app, features, bundle_of(prepared, bundle))
    if decisions.words.nameless:  # An older version kept no names: those of the app are the best there are.
        journal.assume(prepared.words)
        decisions, row = journal.find_text(decision) or found
    if not set(decisions.features.names) & set(features.names):
        raise CommandError(f"the decision's features are not those of {prepared.app.app}: give the --app that decided")
    loop = build(prepared.app, features, ready, Ports(journal, SystemClock(), prepared.coding, bounded=False))
    try:
        shown = answer(decisions, row)
        shown["features"] = features_of(decisions, row, naming(loop.stages, decisions))
        shown["explanation"] = explained(loop.stages, prepared.app, decisions, row)
    finally:
        loop.close()
    return shown


def _model(url: str | None, model: str | None, anywhere: bool) -> Wording:
    from homeostat.adapters.language.wording import HttpWording, WordingSettings

    settings = WordingSettings.from_environment(url=url, model=model, anywhere=anywhere)
    if settings is None:
        raise CommandError("which model is to word it? Give --words-url, or HOMEOSTAT_WORDING_URL")
    try:
        return HttpWording(settings)
    except ValueError as error:
        raise CommandError(str(error)) from error


def _facts(shown: Decision, ids: bool) -> str:
    """The facts that a model may see: the explanation's own lines; the event's id only if asked."""
    from homeostat.engine.explaining import sentences

    named = shown.copy()
    if not ids:
        named["event_id"] = "One event"
    return "\n".join(sentences(named))
