"""`homeostat report`: a month of decisions, questions, changes and jobs, for audits."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import psycopg
import pytest

from homeostat import load as open_app
from homeostat.adapters.disk.sqlite.jobs import SqliteJobs
from homeostat.adapters.disk.sqlite.settings import SqliteSettings
from homeostat.adapters.disk.sqlite.statements import SqliteStatements
from homeostat.adapters.postgres import PostgresJournal
from homeostat.adapters.postgres.statements import PostgresStatements
from homeostat.checks.batches import decisions
from homeostat.cli import main
from homeostat.records.changes import Change, ChangeKind
from homeostat.records.job import Job
from homeostat.records.statements import Statement, StatementKind
from homeostat.records.times import time_text

HOSTILE = "<script>alert('x')</script>"
APP = """
homeostat: 1
app: loans
events:
  entities: {customer: {}}
  fields: {score: {type: number}, region: {type: category, required: false}}
  label: {name: default}
scorers: {large: {kind: rules, rules: [{name: large, when: score > 0.6, score: 0.9}]}}
fusion: {kind: weighted}
actions: [grant, refuse]
costs: {grant: {positive: 10, negative: 0}, refuse: {positive: 0, negative: 2}}
outcomes: {maturity: 0s}
guards:
  rules: [{name: huge, when: score > 0.95, action: refuse, reason: too large}]
  fallback: {scorers_absent: grant}
fairness: {groups: region, bounds: [{measure: selection_rate, difference_max: 0.1}]}
"""
MONTH = f"{datetime.now(UTC):%Y-%m}"  # The stores say the time themselves: the month of the test is the present one.


def events(n: int = 400) -> list[dict[str, Any]]:
    rows = [
        {"event_id": f"e{i}", "time": f"{MONTH}-01T00:{i // 60:02}:{i % 60:02}Z", "customer": i,
         "score": (i % 100) / 100, "default": i % 3 == 0, "region": ("north", HOSTILE)[i % 2]}
        for i in range(n)
    ]  # fmt: skip
    del rows[7]["region"]
    return [*rows, {**rows[0], "event_id": "before", "time": "2020-01-31T23:59:59Z"}]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """A data folder with decisions, questions, changes and a job, and the app file beside it."""
    folder = tmp_path_factory.mktemp("month")
    (folder / "loans.yaml").write_text(APP)
    with open_app(folder / "loans.yaml", data=folder / "data") as engine:
        assert all("action" in one for one in engine.decide(events()[::-1]))
    statements = SqliteStatements(folder / "data")
    for event_id in ("e0", "e2", "e2", "e1", "e7", "gone"):
        statements.append(Statement(StatementKind.QUESTION, "decision", event_id, actor="key 1", text=HOSTILE))
    for number, verdict in ((1, "upheld"), (2, "changed"), (3, "changed"), (4, "upheld")):
        statements.append(
            Statement(StatementKind.ANSWER, "decision", "-", verdict, actor="ann", text="so", refers=number)
        )
    statements.close()
    settings = SqliteSettings(folder / "data")
    for number, (version, actor) in enumerate((("a1", "ann"), ("b2", HOSTILE), ("a1", "homeostat"))):
        settings.append(Change(ChangeKind.DEPLOY, "champion", {"version": version}, actor, HOSTILE), number)
    settings.append(settings.since(2)[0].undo("ann", "back"), 3)
    settings.close()
    jobs = SqliteJobs(folder / "data")
    jobs.submit(Job("export", ("--out=x",), actor="ann", created_ns=int(datetime.now(UTC).timestamp() * 1e9)))
    jobs.submit(Job("export", ("--out=x",), actor="ann", created_ns=5))
    jobs.close()
    return folder


def reported(capsys, data: Path, *words: str) -> dict[str, Any]:
    with pytest.raises(SystemExit) as ended:
        main(["report", *words, "--data", str(data / "data"), "--json"])
    printed = capsys.readouterr()
    assert ended.value.code == 0, printed.err
    return json.loads(printed.out)


def test_autonomy_counts_each_decision_once_by_who_had_the_last_word(capsys, data: Path) -> None:
    found = reported(capsys, data, "autonomy", "--month", MONTH)
    by_rule = sum((i % 100) / 100 > 0.95 for i in range(400))
    assert found["decisions"] == 400 == sum(found["by"].values()) == sum(found["actions"].values())
    assert found["by"] == {"model": 400 - by_rule, "rule": by_rule, "breaker": 0, "fallback": 0, "chance": 0}
    assert found["rules"] == {"huge": by_rule} and list(found["versions"].values()) == [400]
    assert found["questions"] == {"asked": 6, "open": 2, "upheld": 2, "changed": 1}  # Two questions, one decision.
    assert found["machine_alone"] == 399
    changes = found["changes"]
    assert (changes["made"], changes["by_people"], changes["by_machines"]) == (4, 3, 1)
    assert [one["version"] for one in changes["promotions"]] == ["a1", "b2", "a1"]
    assert [(one["version"], one["actor"]) for one in changes["rollbacks"]] == [("b2", "ann")]
    assert found["jobs"] == {"submitted": 1, "kinds": {"export": 1}, "states": {"queued": 1}, "actors": {"ann": 1}}


def test_fairness_has_figures_by_group_with_verdicts_and_questions_by_group(capsys, data: Path) -> None:
    found = reported(capsys, data, "fairness", "--month", MONTH, "--app", str(data / "loans.yaml"))
    assert found["decisions"] == 400 and found["without_group"] == 1 and found["verdict"] in ("INCONCLUSIVE", "PASS")
    rates = {f["group"]: f for f in found["figures"] if f["measure"] == "selection_rate"}
    refused = [one["score"] > 0.6 for one in events()[:400] if one.get("region") == "north"]
    assert rates["north"]["value"] == pytest.approx(sum(refused) / len(refused)) and rates["north"]["rows"] == 200
    by = {one["group"]: one for one in found["questions"]}
    counted = {
        group: tuple(one[name] for name in ("decisions", "asked", "answered", "upheld")) for group, one in by.items()
    }
    assert counted == {"north": (200, 3, 3, 1), HOSTILE: (199, 1, 1, 1), None: (0, 2, 0, 0)}
    assert by["north"]["upheld_share"]["low"] < 1 / 3 < by["north"]["upheld_share"]["high"]
    assert by["north"]["rate"]["value"] == pytest.approx(3 / 200) and by[None]["rate"] is None


class Found(HTMLParser):
    """The tags of a page, and where its links lead."""

    def __init__(self) -> None:
        super().__init__()
        self.tags, self.links = set[str](), []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.links += [value for name, value in attrs if name in ("href", "src")]


@pytest.mark.parametrize("what", ["autonomy", "fairness"])
def test_the_page_has_no_script_and_needs_no_network(capsys, data: Path, tmp_path: Path, what: str) -> None:
    found = reported(
        capsys, data, what, "--month", MONTH, "--app", str(data / "loans.yaml"), "--out", str(tmp_path / "o")
    )
    assert json.loads((tmp_path / "o" / f"{what}-{MONTH}.json").read_text()) == found
    page, parser = (tmp_path / "o" / f"{what}-{MONTH}.html").read_text(), Found()
    parser.feed(page)
    assert "script" not in parser.tags and "svg" in parser.tags and HOSTILE not in page
    assert all(link.startswith("#") for link in parser.links)
    assert (tmp_path / "o").stat().st_mode & 0o777 == 0o700


def test_a_month_without_anything_is_a_report_too(capsys, data: Path, tmp_path: Path) -> None:
    for what in ("autonomy", "fairness"):
        found = reported(
            capsys, data, what, "--month", "1999-12", "--app", str(data / "loans.yaml"), "--out", str(tmp_path)
        )
        assert found["decisions"] == 0 and (tmp_path / f"{what}-1999-12.html").read_text()
    assert found["verdict"] == "INCONCLUSIVE" and "not enough data" in found["why"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["autonomy", "--month", "2026-13"], "is no month"),
        (["autonomy", "--month", "next"], "is no month"),
        (["fairness", "--month", "2026-01"], "give --app"),
        (["fairness", "--month", "2026-01", "--app", "access"], "declares no fairness"),
    ],
)
def test_what_can_not_be_reported_is_a_sentence(capsys, data: Path, words: list[str], says: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["report", *words, "--data", str(data / "data")])
    assert ended.value.code == 1 and says in capsys.readouterr().err


@pytest.fixture
def servers(postgres, tmp_path: Path) -> Iterator[Path]:
    """A file that names an empty database, in which two events were decided and one was questioned."""
    name = f"reports_{os.getpid()}"
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        address = postgres.url.rsplit("/", 1)[0] + f"/{name}"
        batch = decisions([1, 2], seed=1)
        with PostgresJournal(address, app="loans") as journal:
            journal.append(batch)
        with closing(PostgresStatements(address)) as store:
            store.append(Statement(StatementKind.QUESTION, "decision", "1", actor="key 1", text="why?"))
            store.append(Statement(StatementKind.FEEDBACK, "decision", "2", "label", True, "desk", "key 1"))
        file = tmp_path / "servers.yaml"
        file.write_text(f"servers: {{journal: '{address}'}}\n")
        yield file
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_on_servers_the_same_commands_read_postgres(capsys, servers: Path) -> None:
    def call(*words: str) -> dict[str, Any]:
        with pytest.raises(SystemExit) as ended:
            main([*words, "--config", str(servers), "--json"])
        printed = capsys.readouterr()
        assert ended.value.code == 0, printed.err
        return json.loads(printed.out)

    with closing(PostgresJournal(address_in(servers), app="loans")) as journal:
        month = time_text(int(next(iter(journal.read())).body.events.time_ns[0]))[:7]
    found = call("report", "autonomy", "--month", month)
    assert found["decisions"] == 2 == sum(found["by"].values()) and found["jobs"]["submitted"] == 0
    (asked,) = call("questions", "list")["questions"]
    assert asked["text"] == "why?" and call("questions", "show", "1") == asked
    assert call("questions", "answer", "1", "--verdict", "upheld", "--text", "so")["question"] == 1
    assert call("questions", "list")["questions"] == []
    assert call("report", "autonomy", "--month", MONTH)["questions"]["upheld"] == 1
    (given,) = call("feedback", "list")["feedback"]
    assert given["decision"] == "2" and call("feedback", "summary")["feedback"] == 1
    assert call("questions", "forget", "1") == {"number": 1, "forgotten": True}
    assert call("questions", "show", "1")["text"] == ""


def test_a_trail_of_servers_covers_what_people_wrote(capsys, servers: Path, tmp_path: Path) -> None:
    trail = tmp_path / "kept" / "audit.jsonl"
    for _ in range(2):
        with pytest.raises(SystemExit):
            main(["audit", "follow", "--config", str(servers), "--out", str(trail), "--once"])
    named = [line["facts"]["number"] for line in map(json.loads, trail.read_text().splitlines())
             if line["kind"] == "statements"]  # fmt: skip
    assert 2 in named and b"why?" not in trail.read_bytes()

    def verdict() -> tuple[object, str]:
        with pytest.raises(SystemExit) as ended:
            main(["audit", "verify", str(trail), "--config", str(servers)])
        return ended.value.code, capsys.readouterr().err

    assert verdict()[0] == 0
    with psycopg.connect(address_in(servers), autocommit=True) as connection:
        connection.execute("UPDATE statements SET actor = 'key 2' WHERE number = 1")
    code, why = verdict()
    assert code == 1 and "statements, statement 1: digest is not that of its columns" in why


def address_in(servers: Path) -> str:
    return re.search("'(.*)'", servers.read_text())[1]
