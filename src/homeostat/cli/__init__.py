"""The command line: joins an app to its ports. Data on standard output, everything else on standard error."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import homeostat
from homeostat.errors import HomeostatError

if TYPE_CHECKING:
    from cyclopts import App

# Commands are named by path, so that `homeostat --help` imports none of them.
COMMANDS = {
    "demo": ("homeostat.cli.demo:demo", "Decide on simulated card payments, live in the terminal"),
    "init": ("homeostat.cli.files:init", "Write a commented starter app file"),
    "schema": ("homeostat.cli.schema:schema", "Print the JSON Schema of app files, or of a file that homeostat writes"),
    "doctor": ("homeostat.cli.doctor:doctor", "Check this machine and an app, and say how to mend what is wrong"),
    "replay": ("homeostat.cli.replay:replay", "Decide on recorded events"),
    "simulate": ("homeostat.cli.simulate:simulate", "Write the events and outcomes of a simulated world"),
    "drill": ("homeostat.cli.drill:drill", "Inject known trouble, and measure what is noticed"),
    "train": ("homeostat.cli.train:train", "Train an app's models on recorded events"),
    "evaluate": ("homeostat.cli.evaluate:evaluate", "Evaluate a version on recorded events, or two side by side"),
    "tune": ("homeostat.cli.tune:tune", "Search for better settings on recorded events"),
    "retrain": ("homeostat.cli.retrain:retrain", "Train again when that is due, and bring a version to its promotion"),
    "monitor": ("homeostat.cli.monitor:monitor", "Compare a table with a reference: drift, and quality without labels"),
    "compare": ("homeostat.cli.compare:compare", "Judge an experiment's numbers: PASS, FAIL or INCONCLUSIVE"),
    "detect": ("homeostat.cli.detect:detect", "Find changes in a column of numbers"),
    "anomalies": ("homeostat.cli.anomalies:anomalies", "Score each row of measurements by how strange it is"),
    "watch": ("homeostat.cli.watch:watch", "Watch this machine, or a page of metrics, live in the terminal"),
    "live": ("homeostat.cli.live:live", "Serve live metrics of a process that can be put under load"),
    "collect": ("homeostat.cli.collect:collect", "Write the history of metrics in a store as a table"),
    "loadtest": ("homeostat.cli.loadtest:loadtest", "Send requests at a fixed rate, and time the answers"),
    "validate": ("homeostat.cli.validate:validate", "Check a table of measurements in six ways"),
    "up": ("homeostat.cli.up:up", "Start what an app's file names: workers and an HTTP server"),
    "learn": ("homeostat.cli.learn:learn", "Learn online for all processes that share a journal"),
    "worker": ("homeostat.cli.worker:worker", "Decide the events of a stream, on servers that many share"),
    "serve": ("homeostat.cli.serve:serve", "Decide over HTTP"),
    "keys": ("homeostat.cli.keys:keys", "Create, list and revoke API keys"),
    "settings": ("homeostat.cli.settings:settings", "Show, make and undo changes to what decides"),
    "shadow": ("homeostat.cli.shadow:shadow", "Let a challenger decide beside the champion, with no effect"),
    "predictions": (
        "homeostat.cli.predictions:predictions",
        "Send decisions to monitoring, as predictions",
    ),
    "report": ("homeostat.cli.report:report", "Report on a month: autonomy or fairness"),
    "questions": ("homeostat.cli.statements:questions", "Show and answer people's questions about decisions"),
    "feedback": ("homeostat.cli.statements:feedback", "Show feedback on decisions, and how good it is"),
    "maintain": ("homeostat.cli.maintain:maintain", "Watch the decisions of an app, raise incidents, and answer them"),
    "incidents": ("homeostat.cli.incidents:incidents", "Show, silence, answer and close incidents"),
    "mcp": ("homeostat.cli.mcp:mcp", "Let an outside assistant read, and propose"),
    "gate": ("homeostat.cli.gate:gate", "Explain rulings on plans, and try other limits"),
    "memory": ("homeostat.cli.memory:memory", "List, show and search past incidents and notes"),
    "models": ("homeostat.cli.models:models", "List, compare, promote and roll back versions of models"),
    "export": ("homeostat.cli.export:export", "Write a journal as Parquet: events, outcomes, decisions"),
    "explain": ("homeostat.cli.explain:explain", "Say why a decision was made"),
    "jobs": ("homeostat.cli.jobs:jobs", "Run long work beside the decisions, and look after it"),
    "guards": ("homeostat.cli.guards:guards", "Try a change of rules on recorded events"),
    "audit": ("homeostat.cli.audit:audit", "Verify the audit chain, and write that of a shared journal"),
}


# The half second that promote computes made requests' p99 2.2 to 4.8 times as long, beside a server on two cores,
# and 1.1 to 1.3 times with this. A rollback still goes before analyses, whose niceness is 10 or more.
_NICENESS = {("models", "promote"): 10, ("models", "rollback"): 4}
_PROMISE = "Real-time decisions that keep themselves right."


def build() -> App:
    """The command tree."""
    from cyclopts import App

    app = App(
        name="homeostat",
        help=_PROMISE,
        version=homeostat.__version__,
        help_format="plaintext",  # Markdown help takes 60 ms more to import.
    )
    for name, (path, text) in COMMANDS.items():
        app.command(path, name=name, help=text)
    app.register_install_completion_command(add_to_startup=False)
    return app


def overview() -> str:
    """The text of `homeostat --help`: plain text, since the parser of command lines takes longer to import than this.

    >>> print(overview().splitlines()[0])
    Usage: homeostat COMMAND
    """
    width = max(map(len, COMMANDS))
    commands = [f"  {name:<{width}}  {text}" for name, (_, text) in COMMANDS.items()]
    more = (
        "homeostat COMMAND --help says more about each; --version prints the version;\n"
        "--install-completion lets the shell complete commands and options."
    )
    return "\n".join(["Usage: homeostat COMMAND", "", _PROMISE, "", "Commands:", *commands, "", more])


def main(arguments: list[str] | None = None) -> None:
    """Run one command. Exits 0 on success, 1 on a failure, with one sentence about it, 2 on a wrong call."""
    try:
        try:
            if "HOMEOSTAT_JOB_FD" in os.environ:  # A runner of jobs started this process.
                from homeostat.adapters.process.job_line import begin

                begin()
            if arguments is None and tuple(sys.argv[1:3]) in _NICENESS:
                _give_way(_NICENESS[sys.argv[1], sys.argv[2]])
            _run(sys.argv[1:] if arguments is None else arguments)
        finally:
            sys.stdout.flush()  # Else a full disk or a closed pipe shows only after the last line of this function.
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        _drop_output()
        sys.exit(0)
    except (HomeostatError, OSError) as error:  # Their texts are for people; anything else is a fault of this program.
        from homeostat.adapters.process.printable import printable

        _drop_output()
        print(f"homeostat: {printable(str(error), lines=True)}", file=sys.stderr)
        sys.exit(1)


def _give_way(niceness: int) -> None:
    """Let servers on this machine have the processor first, from before anything is imported."""
    with suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, 0, max(niceness, os.getpriority(os.PRIO_PROCESS, 0)))


def _run(arguments: list[str]) -> None:
    if arguments in ([], ["--help"], ["-h"]):
        print(overview())
        sys.exit(0)
    if arguments == ["--version"]:
        print(homeostat.__version__)
        sys.exit(0)
    from homeostat.adapters.process.collector import collect_late
    from homeostat.cli.env_file import take_env_file

    collect_late()
    for warning in take_env_file():
        from homeostat.adapters.process.printable import printable

        print(f"homeostat: warning: {printable(warning)}", file=sys.stderr)
    app = build()
    from cyclopts.exceptions import CycloptsError

    try:
        app(arguments, exit_on_error=False)
    except CycloptsError as error:  # It is printed by now.
        chain = ["homeostat", *(error.command_chain or ())]
        print(f"homeostat: {' '.join(chain)} --help says what there is", file=sys.stderr)
        sys.exit(2)


def _drop_output() -> None:
    """Send what standard output still holds nowhere, where it can't be written: Python would try again at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        with suppress(OSError, ValueError), open(os.devnull, "wb") as nothing:
            os.dup2(nothing.fileno(), sys.stdout.fileno())
