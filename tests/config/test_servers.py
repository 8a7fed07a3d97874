"""The servers of an app: declared in its file, in another one, in the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from homeostat.app import fingerprint
from homeostat.config.faults import AppFileError
from homeostat.config.load import load_app, parse_app
from homeostat.config.servers import read_servers
from homeostat.config.starter import starter
from homeostat.config.tree import duration_ns

SECTION = """
servers:
  events: kafka://127.0.0.1:9092/app.events
  journal: postgresql://user:hunter2@127.0.0.1/db
  skew: 2h
  kafka: {tls: true, username: app}
"""


def test_an_app_file_may_say_where_it_runs_and_stays_the_same_app() -> None:
    plain, placed = parse_app(starter()), parse_app(starter() + SECTION)
    assert placed.servers is not None and placed.servers.skew == duration_ns("2h")
    assert fingerprint(placed) == fingerprint(plain)
    assert "hunter2" not in repr(placed) and "hunter2" not in placed.model_dump_json()


def test_another_file_wins_over_the_app_file_and_the_environment_over_both(tmp_path: Path) -> None:
    app, config = tmp_path / "app.yaml", tmp_path / "servers.yaml"
    app.write_text(starter() + SECTION)
    config.write_text("servers: {skew: 3h, features: 'redis://a/0', kafka: {username: other}}")
    servers = read_servers(config, {"HOMEOSTAT_SERVERS__FEATURES": "redis://b/0"}, app)
    assert (servers.skew, servers.features) == (duration_ns("3h"), "redis://b/0")
    assert (servers.kafka.tls, servers.kafka.username) == (True, "other")
    assert servers.events == "kafka://127.0.0.1:9092/app.events"
    assert read_servers(None, {}, app).kafka.username == "app"


def test_what_is_wrong_in_the_section_is_a_fault_of_the_app_file_and_no_password_is_said(tmp_path: Path) -> None:
    app = tmp_path / "app.yaml"
    app.write_text(starter() + "servers:\n  evnts: kafka://a/b\n  kafka: {password: 31415926}\n")
    with pytest.raises(AppFileError) as found:
        load_app(app)
    message = str(found.value)
    assert "servers" in message and "events" in message and "servers.kafka.password" in message
    assert "31415926" not in message


@pytest.mark.parametrize(
    "text",
    [
        "servers: {events: 2024-99-99}", "servers: " + "[" * 5000, "servers: {events: !!int abc}",
        "servers: {partitions: " + "9" * 5000 + "}", "a: &a [*a]\nservers: {kafka: *a}", "servers: {1: 2}", "- 1", "",
        'servers: {events: "kafka://[::1"}', "servers: {events: a, events: b}", "servers: {? [a]: 1}", "\0", "\udcff",
        "a: &a [1,1,1]\n" + "".join(f"a{k}: &a{k} [*a{k - 1 or ''},*a{k - 1 or ''}]\n" for k in range(1, 40)),
    ],
    ids=lambda text: text[:30].encode("unicode_escape").decode(),
)  # fmt: skip
def test_whatever_a_file_of_servers_holds_is_a_fault_and_nothing_else(text, tmp_path):
    path = tmp_path / "servers.yaml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(AppFileError):
        read_servers(path, {})


FORMER = """
world:
  events: kafka://127.0.0.1:9092/app.events
  journal: postgresql://user:hunter2@127.0.0.1/db
  skew: 2h
  kafka: {tls: true, username: app}
"""


def test_a_section_and_variables_of_the_former_name_are_read_with_a_notice_each(tmp_path: Path) -> None:
    now, before = tmp_path / "now.yaml", tmp_path / "before.yaml"
    now.write_text(starter() + SECTION)
    before.write_text(starter() + FORMER)
    notices: list[str] = []
    expected = read_servers(now, {"HOMEOSTAT_SERVERS__KAFKA__PASSWORD": "hunter2"}, notice=notices.append)
    assert notices == []
    assert read_servers(before, {"HOMEOSTAT_WORLD__KAFKA__PASSWORD": "hunter2"}, notice=notices.append) == expected
    assert len(notices) == 2 and "before.yaml" in notices[0] and "HOMEOSTAT_WORLD__KAFKA__PASSWORD" in notices[1]
    assert all("servers" in notice.lower() for notice in notices) and "hunter2" not in "".join(notices)
    assert parse_app(starter() + FORMER).servers == parse_app(starter() + SECTION).servers


def test_the_present_variable_wins_over_one_of_the_former_name() -> None:
    environ = {"HOMEOSTAT_SERVERS__GROUP": "now", "HOMEOSTAT_WORLD__GROUP": "before", "HOMEOSTAT_WORLD__SPOOL": "s"}
    servers = read_servers(None, environ)
    assert (servers.group, servers.spool) == ("now", "s")


def test_a_file_with_both_sections_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "both.yaml"
    path.write_text("servers: {group: a}\nworld: {group: b}\n")
    with pytest.raises(AppFileError, match="keep one of the two"):
        read_servers(path, {})
    with pytest.raises(AppFileError, match="world"):
        parse_app(starter() + "servers: {group: a}\nworld: {group: b}\n")
