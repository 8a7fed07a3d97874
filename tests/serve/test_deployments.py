"""Versions of models over HTTP: looked at, previewed, promoted and rolled back while they decide."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from http_servers import Server
from test_settings import Asker
from tests.cli.test_fair_promotion import APP as LOANS
from tests.cli.test_fair_promotion import MOMENT_NS, loans
from tests.support.fuzzing import ANY_DATA, PHASES, fuzz

from homeostat import load as open_app
from homeostat.adapters.disk.sqlite.registry import SqliteRegistry
from homeostat.adapters.disk.sqlite.settings import SqliteSettings
from homeostat.adapters.opening import keys_opener, registry_opener
from homeostat.config.load import app_file
from homeostat.engine.assembly import prepare, shipped_bundle
from homeostat.jobs.training_run import TrainingRequest, train_on_events
from homeostat.models.bundle import load_bundle, save_bundle
from homeostat.models.lineage import lineage_of
from homeostat.models.training_set import silent
from homeostat.ports.registry import Lineage

pytestmark = pytest.mark.long
WHY = {"reason": "a test of promotions"}


def payment(identity: str) -> dict[str, Any]:
    return {"event_id": identity, "time": "2026-01-30T12:00:00Z", "customer": 1, "terminal": 2, "amount": 50.0}


def bundles_in(folder: Path) -> tuple[Path, Path, Path]:
    """Three versions: the shipped one, one that alarms at everything, and one without fusion."""
    shipped = shipped_bundle(prepare("payments").app)
    assert shipped is not None
    bundle = load_bundle(shipped)
    fusion = bundle.parts["fusion"]
    higher = replace(fusion, settings={**fusion.settings, "base": float(fusion.settings["base"]) + 9.0})
    alarmed, useless = folder / "alarmed", folder / "useless"
    save_bundle(replace(bundle, parts={**bundle.parts, "fusion": higher}), alarmed)
    broken = {name: part for name, part in bundle.parts.items() if name != "fusion"}
    save_bundle(replace(bundle, parts=broken), useless)
    return shipped, alarmed, useless


def patient_app(folder: Path, more: str = "") -> Path:
    """The shipped app without its short deadlines, which a busy machine would miss, and without chance."""
    path = folder / "payments.yaml"
    text = app_file("payments").read_text().replace("holdout: 0.01", "holdout: 0.0")
    path.write_text(re.sub(r"deadline: \d+ms", "deadline: 60s", text) + more)
    return path


def begun(folder: Path, more: str = "") -> Asker:
    """A server on a folder with these versions.

    more : lines of its app file
    """
    data = folder / "data"
    data.mkdir()
    with closing(SqliteRegistry(data)) as registry:
        for path in bundles_in(folder):
            registry.put(path, Lineage("payments", actor="ann", reason="a test"))
    return Asker(data, str(patient_app(folder, more)))


@pytest.fixture(scope="module")
def asker(tmp_path_factory) -> Iterator[Asker]:
    asker = begun(tmp_path_factory.mktemp("deployments"))
    yield asker
    assert asker.server.stop() == 0


def last(asker: Asker, role: str = "champion") -> int:
    """The number of a role's last change."""
    return int(asker.ask(f"/v1/deployments?role={role}")[2]["last"])


def promote(asker: Asker, version: str, **more: Any) -> Any:
    """The answer to a promotion, whatever is deployed now."""
    return asker.ask("/v1/deployments", {"version": version, "expected": last(asker), **WHY, **more})


def test_versions_are_listed_in_pages_and_shown_with_where_they_come_from(asker):
    status, head, whole = asker.ask("/v1/models", by="read")
    assert (status, [one["number"] for one in whole["versions"]], whole["next"]) == (200, [3, 2, 1], None)
    assert asker.ask("/v1/models", by="read", if_none_match=head["etag"])[0] == 304
    pages, cursor = [], ""
    while True:
        page = asker.ask(f"/v1/models?limit=2{cursor}")[2]
        pages += page["versions"]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert pages == whole["versions"]
    status, head, one = asker.ask("/v1/models/2", by="read")
    assert (status, one["version"], one["lineage"]["actor"]) == (200, whole["versions"][1]["version"], "ann")
    assert asker.ask(f"/v1/models/{one['version'][:8]}")[2] == one
    assert asker.ask("/v1/models/2", if_none_match=head["etag"])[0] == 304
    status, _, problem = asker.ask("/v1/models/99")
    assert (status, problem["title"]) == (404, "No such version") and problem["fix"]
    promote(asker, "3", role="challenger", expected=last(asker, "challenger"))
    assert asker.ask("/v1/models/3")[2]["roles"] == ["challenger"]


def test_a_promotion_decides_once_it_is_answered_and_a_rollback_too(asker):
    promote(asker, "1")
    assert asker.ask("/v1/decide", payment("before"))[2]["action"] == "allow"
    status, head, made = promote(asker, "2", actor="ann")
    assert (status, made["number"], made["role"], made["applied"]["everywhere"]) == (201, 2, "champion", True)
    assert len(made["applied"]["processes"]) == 1 and 0 <= made["applied"]["seconds"] < 5
    assert made["actor"].startswith("ann (key ") and made["why"] == WHY["reason"]
    decided = asker.ask("/v1/decide", payment("between"))[2]
    assert decided["action"] == "block" and decided["version"].endswith(made["version"])
    status, _, found = asker.ask(head["location"], by="read")
    assert (status, found["change"], found["applied"]["everywhere"]) == (200, made["change"], True)
    status, _, back = asker.ask("/v1/deployments:rollback", {**WHY, "expected": made["change"]}, by="operate")
    assert (status, back["number"], back["reverts"], back["before"]) == (201, 1, made["change"], made["version"])
    assert asker.ask("/v1/decide", payment("after"))[2]["action"] == "allow"
    with closing(SqliteSettings(asker.folder)) as settings:
        stored = settings.since(made["change"] - 1)
    assert [(one.body["version"], one.reason) for one in stored] == [
        (made["version"], WHY["reason"]), (back["version"], WHY["reason"]),
    ]  # fmt: skip


def test_a_canary_has_its_share_and_its_own_history(asker):
    body = {"version": "2", "role": "canary", "share": 0.25, "expected": last(asker, "canary"), **WHY}
    status, _, made = asker.ask("/v1/deployments", body)
    assert (status, made["role"], made["share"], made["applied"]["everywhere"]) == (201, "canary", 0.25, True)
    found = asker.ask("/v1/deployments?role=canary")[2]["deployments"][0]
    assert (found["change"], found["share"]) == (made["change"], 0.25)
    more = asker.ask("/v1/deployments", {**body, "share": 0.5, "expected": made["change"]})[2]
    assert more["share"] == 0.5 and more["before"] == made["version"]
    for _ in range(2):
        back = {"role": "canary", "expected": last(asker, "canary"), **WHY}
        assert asker.ask("/v1/deployments:rollback", back)[0] == 201
    assert asker.ask("/v1/models/2")[2]["roles"] == []


def test_the_history_is_in_pages_and_says_who_decided_at_a_time(asker):
    for version in ("2", "1", "2"):
        promote(asker, version)
    _, head, whole = asker.ask("/v1/deployments?limit=500", by="read")
    pages, cursor = [], ""
    while True:
        page = asker.ask(f"/v1/deployments?limit=1{cursor}")[2]
        pages += page["deployments"]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert pages == whole["deployments"] and len(pages) >= 3
    assert [one["to"] for one in pages] == [None, *(one["from"] for one in pages[:-1])]
    assert asker.ask("/v1/deployments", if_none_match=head["etag"])[0] == 304
    then = asker.ask(f"/v1/deployments?at={pages[1]['from']}")[2]["deployments"]
    assert then == [pages[1]]
    assert asker.ask("/v1/deployments?at=2020-01-01")[2]["deployments"][0]["version"] is None


def previewed(asker: Asker, wish: dict[str, Any]) -> Any:
    """The answer to a preview, asked for again while a busy machine does not find the effect within its minute."""
    for _ in range(9):
        found = asker.ask("/v1/deployments:preview", wish)
        if found[0] != 200 or "took longer" not in (found[2]["no_effect"] or ""):
            break
    return found


def test_a_preview_shows_the_effect_and_its_token_confirms_just_that(asker):
    promote(asker, "1")
    asker.ask("/v1/decide", [payment(f"seen {k}") for k in range(20)])
    status, _, seen = previewed(asker, {"version": "2"})
    assert (status, seen["no_effect"], seen["last"]) == (200, None, last(asker))
    effect = seen["effect"]
    blocked = {change["before"]: change["count"] for change in effect["changes"] if change["after"] == "block"}
    assert effect["decisions"] >= effect["differ"] >= 20 and blocked["allow"] >= 20
    wish = {"version": "2", **WHY, "confirm": seen["confirm"]}
    status, _, problem = asker.ask("/v1/deployments", {**wish, "role": "challenger"})
    assert (status, problem["title"]) == (409, "Not as previewed")
    for token in ("", "x", seen["confirm"][:-1] + "g", "f" * 9 + seen["confirm"][8:], "é.ü"):
        assert asker.ask("/v1/deployments", {**wish, "confirm": token})[0] in (409, 428)
    status, _, made = asker.ask("/v1/deployments", wish)
    assert (status, made["number"]) == (201, 2)
    back = asker.ask("/v1/deployments:preview", {"rollback": True, "hours": 0})[2]
    assert (back["version"], back["before"], back["effect"]) == (seen["before"], made["version"], None)
    promote(asker, "1")
    assert asker.ask("/v1/deployments", wish)[0] == 409  # The state is another one.
    assert asker.ask("/v1/deployments:rollback", {**WHY, "confirm": back["confirm"]})[0] == 409


def test_of_two_authors_the_second_sees_the_promotion_of_the_first(asker):
    promote(asker, "1")
    tag, number = asker.ask("/v1/deployments")[1]["etag"], last(asker)
    assert asker.ask("/v1/deployments", {"version": "2", **WHY}, if_match=tag)[0] == 201
    status, _, problem = asker.ask("/v1/deployments", {"version": "1", **WHY}, if_match=tag)
    assert (status, problem["found"]["body"]["version"]) == (412, asker.ask("/v1/models/2")[2]["version"])
    for path, body in (("", {"version": "1"}), (":rollback", {})):
        status, _, problem = asker.ask(f"/v1/deployments{path}", {**body, **WHY, "expected": number})
        assert (status, problem["title"]) == (409, "Changed meanwhile") and problem["found"]["reason"]
        assert asker.ask(f"/v1/deployments{path}", {**body, **WHY})[0] == 428
    status, _, made = asker.ask("/v1/deployments:rollback", {**WHY, "expected": float(number + 1)})
    assert (status, made["number"]) == (201, 1)  # JSON does not tell 7.0 from 7.
    promote(asker, "2")
    status, _, problem = promote(asker, "2")
    assert status == 409 and "is the champion already" in problem["detail"]


def test_a_tag_that_nobody_was_given_is_no_look_at_the_state(asker):
    promote(asker, "1")
    for path, body in (("", {"version": "2"}), (":rollback", {})):
        status, _, problem = asker.ask(f"/v1/deployments{path}", {**body, **WHY}, if_match='"999999"')
        assert (status, problem["title"]) == (412, "Changed meanwhile") and problem["fix"]
    change = {"kind": "threshold", "scope": "block", "body": {"at": 0.9}, **WHY}
    assert asker.ask("/v1/settings", change, if_match='"999999"')[0] == 412


def test_a_key_promotes_and_rolls_back_once(asker):
    promote(asker, "1")
    number = last(asker)
    first, again = (
        asker.ask("/v1/deployments", {"version": "2", **WHY, "expected": number}, idempotency_key="up") for _ in "12"
    )
    assert (first[0], again[0]) == (201, 200) and first[2]["change"] == again[2]["change"]
    first, again = (
        asker.ask("/v1/deployments:rollback", {**WHY, "expected": number + 1}, idempotency_key="down") for _ in "12"
    )
    assert (first[0], again[0]) == (201, 200) and first[2]["change"] == again[2]["change"] == last(asker)
    status, _, problem = asker.ask("/v1/deployments:rollback", {**WHY, "expected": 0}, idempotency_key="up")
    assert (status, problem["title"]) == (409, "Conflict") and "is no rollback" in problem["detail"]


def test_a_version_that_can_not_decide_is_stored_and_named_as_waiting(asker):
    promote(asker, "1")
    status, head, made = promote(asker, "3")
    assert (status, made["applied"]["everywhere"]) == (202, False)
    (why,) = made["applied"]["waiting"].values()
    assert "fusion" in why
    found = asker.ask(head["location"])[2]["applied"]
    assert not found["everywhere"] and found["waiting"] == made["applied"]["waiting"]
    assert asker.ask("/v1/decide", payment("still"))[2]["action"] == "allow"
    status, _, back = asker.ask("/v1/deployments:rollback", {**WHY, "expected": made["change"]})
    assert (status, back["number"], back["applied"]["everywhere"]) == (201, 1, True)


def test_a_fusion_that_the_champion_was_not_trained_with_is_refused_by_name(asker):
    promote(asker, "1")
    tag = asker.ask("/v1/settings")[1]["etag"]
    wish = {"kind": "fusion", "scope": "app", "body": {"name": "ensemble"}, **WHY}
    for path in ("/v1/settings", "/v1/settings:preview"):
        status, _, problem = asker.ask(path, wish, if_match=tag)
        assert status == 422 and "no trained fusion.ensemble: its models have learned" in problem["detail"]
    status, _, made = asker.ask("/v1/settings", {**wish, "body": {"name": "adaptive"}}, if_match=tag)
    assert status == 201 and asker.ask(f"/v1/settings/{made['number']}:undo", {})[0] == 201


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("", {"version": "9", "expected": 0}, 422), ("", {"expected": 0}, 422), ("", [], 422),
        ("", {"version": "1", "role": "champ", "expected": 0}, 422),
        ("", {"version": "1", "expected": -1}, 422), ("", {"version": "1", "expected": True}, 422),
        ("", {"version": "1", "share": 0, "expected": 0}, 422), ("", {"version": "1", "share": 2}, 422),
        ("", {"version": "1", "reason": "", "expected": 10**15}, 422), ("", {"version": 1}, 422),
        ("", {"version": "1", "confirm": 7}, 422), ("", {"version": "1", "more": 7}, 422),
        ("", {"version": "1", "expected": 10**15}, 409), (":rollback", {"role": "canary", "expected": 0}, 409),
        (":rollback", {"version": "1", "expected": 0}, 422), (":preview", {"rollback": True, "version": "1"}, 422),
        (":preview", {"version": "1", "hours": -1}, 422), (":preview", {"rollback": 1}, 422),
        ("?role=x", None, 422), ("?at=soon", None, 422), ("?limit=0", None, 422), ("/0", None, 404),
        ("/999999", None, 404), ("/x", None, 404), (":preview", None, 405), (":undo", {}, 404),
        ("?wait=61", {"version": "1", "expected": 0}, 422), ("/1", {}, 405),
    ],
)  # fmt: skip
def test_what_can_not_be_is_a_problem_with_a_fix(asker, path, body, status):
    named = {**WHY, **body} if isinstance(body, dict) and path[:8] != ":preview" else body
    found, head, problem = asker.ask(f"/v1/deployments{path}", named)
    assert (found, head["content-type"]) == (status, "application/problem+json") and problem["fix"], problem


def test_only_a_key_that_may_operate_promotes(asker):
    for path in ("", ":rollback", ":preview"):
        status, _, problem = asker.ask(f"/v1/deployments{path}", {"version": "1", **WHY}, by="read")
        assert (status, problem["title"]) == (403, "Scope missing") and "operate" in problem["fix"]
    assert asker.ask("/v1/models", by="operate")[0] == 403  # To look takes `read`.


def test_an_app_may_ask_for_a_preview_before_each_promotion(tmp_path):
    asker = begun(tmp_path, "\ndeployments: {confirm: true}\n")
    try:
        status, _, problem = asker.ask("/v1/deployments", {"version": "2", **WHY, "expected": 0})
        assert (status, problem["title"]) == (428, "Preview missing")
        change = {"kind": "deploy", "scope": "champion", "body": {"version": "2"}, **WHY}
        assert asker.ask("/v1/settings", change, if_match='"0"')[2]["title"] == "Preview missing"
        token = asker.ask("/v1/deployments:preview", {"version": "2", "hours": 0})[2]["confirm"]
        assert asker.ask("/v1/deployments", {"version": "2", **WHY, "confirm": token})[0] == 201
        assert asker.ask("/v1/deployments:rollback", {**WHY, "expected": 1})[0] == 201  # The way back is always free.
    finally:
        assert asker.server.stop() == 0


def test_two_processes_on_servers_apply_a_promotion_before_it_is_answered(postgres, redis, tmp_path):
    database = f"deployments_{os.getpid()}"
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {database}")
    journal, config = f"{postgres.url.rsplit('/', 1)[0]}/{database}", tmp_path / "servers.yaml"
    config.write_text(
        f"servers:\n  journal: {journal}\n  features: {redis.url}\n"
        f"  models: {(tmp_path / 'shared').as_uri()}\n  models_cache: {tmp_path / 'cache'}\n"
    )
    bundles = bundles_in(tmp_path)
    with closing(registry_opener(journal)(journal, (tmp_path / "shared").as_uri(), tmp_path / "cache")) as registry:
        for path in bundles:
            registry.put(path, Lineage("payments", actor="ann", reason="a test"))
    keys = keys_opener(journal)(journal)
    keys.prepare()
    asker = Asker.of(keys, lambda: Server(patient_app(tmp_path), "--config", config, "--workers", "2"))
    try:
        status, _, made = promote(asker, "2", expected=0)
        assert status == 201, made
        assert (made["applied"]["everywhere"], len(made["applied"]["processes"])) == (True, 2)
        decided = [asker.ask("/v1/decide", payment(f"{database}-{k}"))[2] for k in range(8)]
        assert {(one["action"], one["settings"]) for one in decided} == {("block", made["change"])}
        seen = previewed(asker, {"version": "1"})[2]
        assert seen["no_effect"] is None and seen["effect"]["differ"] == 8
        for _ in range(4):  # Any of the processes may be asked; each knows the token of the others.
            body = {"version": "1", **WHY, "confirm": seen["confirm"]}
            status, _, made = asker.ask("/v1/deployments", body, idempotency_key="once")
            assert status in (200, 201) and made["applied"]["everywhere"]
        assert [one["number"] for one in asker.ask("/v1/deployments")[2]["deployments"]] == [1, 2]
    finally:
        stopped = asker.server.stop()
        keys.close()
        with psycopg.connect(postgres.url, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {database} WITH (FORCE)")
    assert stopped == 0


@PHASES
def test_a_fuzzer_that_may_promote_brings_about_no_fault(asker, tmp_path, phase):
    """The checks on which data must be taken are off: no schema says which versions there are, or who was first."""
    key = f"X-API-Key: {asker.secrets['admin']}"
    chosen = ("--include-path-regex", "/v1/(models|deployments)", "--max-examples", "10", "-H", key)
    fuzz(asker.server.url, tmp_path, *chosen, "--phases", phase, *ANY_DATA)


def test_a_version_under_bounds_of_fairness_is_looked_at_before_it_decides(tmp_path):
    app, events, data = tmp_path / "loans.yaml", tmp_path / "events.jsonl", tmp_path / "data"
    app.write_text(LOANS.replace("BOUND", "0.05"))
    rows = loans(1_000)
    events.write_text("".join(json.dumps(row) + "\n" for row in rows))
    train_on_events(app, TrainingRequest(events, tmp_path / "bundle", MOMENT_NS), silent)
    with open_app(app, bundle=tmp_path / "bundle", data=data) as engine:
        engine.decide(rows)
    with closing(SqliteRegistry(data)) as registry:
        registry.put(tmp_path / "bundle", lineage_of(load_bundle(tmp_path / "bundle"), "ann", "a test"))
    asker = Asker(data, str(app))
    try:
        wish = {"version": "1", "expected": 0, **WHY}
        preview = previewed(asker, {"version": "1", "hours": 1})[2]
        assert preview["effect"]["fairness"]["verdict"] == "FAIL"
        status, _, problem = asker.ask("/v1/deployments", wish)
        assert status == 409 and "breaks a bound of fairness" in problem["detail"] and "-0." in problem["detail"]
        assert asker.ask("/v1/deployments", {**wish, "force": "yes"})[0] == 422
        status, _, made = asker.ask("/v1/deployments", {**wish, "force": True}, idempotency_key="once")
        assert status == 201 and made["why"].startswith(f"{WHY['reason']} (overridden: version ")
        status, _, again = asker.ask("/v1/deployments", {**wish, "force": True}, idempotency_key="once")
        assert (status, again["change"]) == (200, made["change"])
    finally:
        assert asker.server.stop() == 0
