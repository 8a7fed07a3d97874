"""`homeostat questions` and `homeostat feedback`: what people write about decisions, and the answers they get."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from homeostat.cli.failures import CommandError
from homeostat.cli.options import Json, Stored
from homeostat.cli.version_stores import Actor, Config, Data, actor_of, store_at

if TYPE_CHECKING:
    from homeostat.ports import StandingJournal
    from homeostat.ports.statements import Statements
    from homeostat.records.statements import Statement

questions = App(name="questions", help="Show and answer people's questions about decisions", help_format="plaintext")
feedback = App(name="feedback", help="Show feedback on decisions, and how good it is", help_format="plaintext")
Limit = Annotated[Stored, Parameter(help="How many to show, the newest first.")]
Below = Annotated[int | None, Parameter(help="Only those with smaller numbers.")]


def statements_of(data: Path | None, config: Path | None) -> AbstractContextManager[Statements]:
    """The statements that options name, closed at the end. Raises CommandError where neither is named, or both are."""

    def here(folder: Path) -> Statements:
        from homeostat.adapters.disk.sqlite.statements import SqliteStatements

        return SqliteStatements(folder)

    def there(url: str) -> Statements:
        from homeostat.adapters.opening import statements_opener

        return statements_opener(url)(url)

    return store_at(data, config, "statements", here, there)


@contextmanager
def journal_of(data: Path | None, config: Path | None) -> Iterator[StandingJournal | None]:
    """The journal beside statements; None where a folder has none yet."""
    from homeostat.cli.journals import journal_in, shared_journal

    if data is None:
        with closing(shared_journal(config)) as shared:
            yield shared
    elif (data / "journal.db").is_file():
        with closing(journal_in(data)) as journal:
            yield journal
    else:
        yield None


@questions.command(name="list")
def list_(
    *,
    state: Annotated[
        Literal["open", "answered", "all"], Parameter(help="Open questions, answered ones, or all.")
    ] = "open",
    limit: Limit = 50,
    below: Below = None,
    data: Data = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Show questions, newest first."""
    from homeostat.records.statements import StatementKind

    _at_least_none(limit)
    wanted = None if state == "all" else state == "open"
    with statements_of(data, config) as store:
        found = store.list(StatementKind.QUESTION, limit=limit, below=below, is_open=wanted)
        shown = with_answers(store, found)
    if json:
        print(dumps({"questions": shown}))
        return
    for one in shown:
        print(_line(one))
    if not shown:
        print("no questions")


@questions.command
def show(number: Stored, /, *, data: Data = None, config: Config = None, json: Json = False) -> None:
    """Show one question with its answer.

    Parameters
    ----------
    number
        As `homeostat questions list` shows it.
    """
    with statements_of(data, config) as store:
        (found,) = with_answers(store, [_question(store, number)])
    if json:
        print(dumps(found))
        return
    print(_line(found))
    print(found["text"] or "(the words were forgotten)")
    if found["contact"]:
        print(f"contact: {found['contact']}")
    if found["answer"]:
        print(f"answered by {found['answer']['actor']}, {found['answer']['at']}: {found['answer']['text']}")


@questions.command
def answer(
    number: Stored,
    /,
    *,
    verdict: Annotated[
        Literal["upheld", "changed"], Parameter(help="Whether the decision stands, or was changed for the person.")
    ],
    text: Annotated[str, Parameter(help="The answer, for the person who asked.")],
    expected: Annotated[int, Parameter(help="The number of the answer that is there, as you saw it; 0 for none.")] = 0,
    key: Annotated[str, Parameter(help="The same key is the same answer, however often it is sent.")] = "",
    actor: Actor = None,
    data: Data = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Answer a question.

    Parameters
    ----------
    number
        As `homeostat questions list` shows it.
    """
    from homeostat.records.statements import DECISION, Statement, StatementKind
    from homeostat.records.statements import shown as shown_statement

    one = Statement(
        StatementKind.ANSWER, DECISION, "-", verdict, actor=actor_of(actor), text=text, key=key, refers=number
    )
    with statements_of(data, config) as store:
        try:
            made = store.append(one, expected)
        except ValueError as error:
            raise CommandError(str(error)) from error
    print(dumps(shown_statement(made)) if json else f"question {number} is answered: {verdict} (answer {made.number})")


@questions.command
def forget(number: Stored, /, *, data: Data = None, config: Config = None, json: Json = False) -> None:
    """Delete the words and the contact of a question, an answer or feedback; that there was one stays on record.

    Parameters
    ----------
    number
        As the lists show it.
    """
    with statements_of(data, config) as store:
        store.forget(number)
    print(dumps({"number": number, "forgotten": True}) if json else f"the words of statement {number} are forgotten")


@feedback.command(name="list")
def list_feedback(
    *, limit: Limit = 50, below: Below = None, data: Data = None, config: Config = None, json: Json = False
) -> None:
    """Show feedback with its quality and priority, newest first."""
    from homeostat.jobs.feedback import as_json

    _at_least_none(limit)
    found = [as_json(one) for one in _scored(data, config)[::-1] if below is None or one.statement.number < below]
    if json:
        print(dumps({"feedback": found[:limit]}))
        return
    for one in found[:limit]:
        print(_feedback_line(one))
    if not found:
        print("no feedback")


@feedback.command(name="show")
def show_feedback(number: Stored, /, *, data: Data = None, config: Config = None, json: Json = False) -> None:
    """Show one piece of feedback with its quality.

    Parameters
    ----------
    number
        As `homeostat feedback list` shows it.
    """
    from homeostat.jobs.feedback import as_json
    from homeostat.ports.statements import unknown

    found = next((as_json(one) for one in _scored(data, config) if one.statement.number == number), None)
    if found is None:
        raise unknown(number, "feedback")
    if json:
        print(dumps(found))
        return
    print(_feedback_line(found))
    print(found["text"] or "(no words)")


@feedback.command(name="summary")
def summary_(*, data: Data = None, config: Config = None, json: Json = False) -> None:
    """Show how much feedback there is of each kind and source, how good it is, and which way it moves."""
    from homeostat.jobs.feedback import summary

    found = summary(_scored(data, config))
    if json:
        print(dumps(found))
        return
    for head, rows in (("kind", found["kinds"]), ("source", found["sources"])):
        for row in rows:
            print(
                f"{head} {row[head]}: {row['number']:,}, quality {row['quality']:.2f}, "
                f"{row['right']} of {row['checked']} right by the outcome, {row['trend']}"
            )
    if not found["feedback"]:
        print("no feedback")


def with_answers(store: Statements, found: Any) -> list[dict[str, Any]]:
    """Questions as JSON objects, each with its last answer or None."""
    from homeostat.records.statements import shown

    answers = store.answers([one.number for one in found])
    return [{**shown(one), "answer": shown(answers[one.number]) if one.number in answers else None} for one in found]


def _question(store: Statements, number: int) -> Statement:
    from homeostat.ports.statements import unknown
    from homeostat.records.statements import StatementKind

    found = store.get(number)
    if found.kind != StatementKind.QUESTION:
        raise unknown(number, "question")
    return found


def _scored(data: Path | None, config: Path | None) -> Any:
    from homeostat.jobs.feedback import scored_feedback

    with statements_of(data, config) as store, journal_of(data, config) as journal:
        return scored_feedback(store, journal)


def _at_least_none(limit: int) -> None:
    if limit < 0:
        raise CommandError("--limit is how many to show: 0 or more")


def _line(one: dict[str, Any]) -> str:
    state = "open" if one["answer"] is None else one["answer"]["verdict"]
    return f"{one['number']}  {one['at']}  {one['decision']}  {state}"


def _feedback_line(one: dict[str, Any]) -> str:
    about = one.get("decision", one.get("version"))
    return (
        f"{one['number']}  {one['at']}  {about}  {one['kind']} {one['value']}  by {one['source']}  "
        f"quality {one['quality']:.2f}  priority {one['priority']:.2f}"
    )
