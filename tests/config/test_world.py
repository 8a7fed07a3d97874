"""The world of an app: declared in its file, in another one, in the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from homeostat.app import fingerprint
from homeostat.config.faults import AppFileError
from homeostat.config.load import load_app, parse_app
from homeostat.config.starter import starter
from homeostat.config.tree import duration_ns
from homeostat.config.world import read_world

SECTION = """
world:
  events: kafka://127.0.0.1:9092/app.events
  journal: postgresql://user:hunter2@127.0.0.1/db
  skew: 2h
  kafka: {tls: true, username: app}
"""


def test_an_app_file_may_say_where_it_runs_and_stays_the_same_app() -> None:
    plain, placed = parse_app(starter()), parse_app(starter() + SECTION)
    assert placed.world is not None and placed.world.skew == duration_ns("2h")
    assert fingerprint(placed) == fingerprint(plain)
    assert "hunter2" not in repr(placed) and "hunter2" not in placed.model_dump_json()


def test_another_file_wins_over_the_app_file_and_the_environment_over_both(tmp_path: Path) -> None:
    app, config = tmp_path / "app.yaml", tmp_path / "world.yaml"
    app.write_text(starter() + SECTION)
    config.write_text("world: {skew: 3h, features: 'redis://a/0', kafka: {username: other}}")
    world = read_world(config, {"HOMEOSTAT_WORLD__FEATURES": "redis://b/0"}, app)
    assert (world.skew, world.features) == (duration_ns("3h"), "redis://b/0")
    assert (world.kafka.tls, world.kafka.username) == (True, "other")
    assert world.events == "kafka://127.0.0.1:9092/app.events"
    assert read_world(None, {}, app).kafka.username == "app"


def test_what_is_wrong_in_the_section_is_a_fault_of_the_app_file_and_no_password_is_said(tmp_path: Path) -> None:
    app = tmp_path / "app.yaml"
    app.write_text(starter() + "world:\n  evnts: kafka://a/b\n  kafka: {password: 31415926}\n")
    with pytest.raises(AppFileError) as found:
        load_app(app)
    told = str(found.value)
    assert "world" in told and "events" in told and "world.kafka.password" in told
    assert "31415926" not in told


@pytest.mark.parametrize(
    "text",
    [
        "world: {events: 2024-99-99}", "world: " + "[" * 5000, "world: {events: !!int abc}",
        "world: {partitions: " + "9" * 5000 + "}", "a: &a [*a]\nworld: {kafka: *a}", "world: {1: 2}", "- 1", "",
        'world: {events: "kafka://[::1"}', "world: {events: a, events: b}", "world: {? [a]: 1}", "\0", "\udcff",
        "a: &a [1,1,1]\n" + "".join(f"a{k}: &a{k} [*a{k - 1 or ''},*a{k - 1 or ''}]\n" for k in range(1, 40)),
    ],
    ids=lambda text: text[:30].encode("unicode_escape").decode(),
)  # fmt: skip
def test_whatever_a_file_of_servers_holds_is_a_fault_and_nothing_else(text, tmp_path):
    path = tmp_path / "world.yaml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(AppFileError):
        read_world(path, {})
