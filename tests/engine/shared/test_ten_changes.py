"""Ten changes of the settings under two workers on real servers, which are killed between and inside them."""

from __future__ import annotations

import json
import threading
from contextlib import closing, contextmanager

import psycopg
import pytest
from tests.engine.shared.learning_worlds import events
from tests.engine.shared.test_changes import change
from tests.engine.test_changes import APP, app, version, versions  # noqa: F401

from homeostat.adapters.opening import journal_opener
from homeostat.engine.assembly import prepare
from homeostat.engine.shared.again import Deciding
from homeostat.engine.shared.leading import open_learner
from homeostat.engine.stores import stores_on
from homeostat.ports.registry import Lineage
from homeostat.records.bodies import ChangeBatch
from homeostat.records.decisions import DecisionBatch

NO_BREAKERS = "\n".join(line for line in APP.splitlines() if "breakers:" not in line) + "\n"
# The tables do not hold who wrote an entry: here, by the connection.
WRITERS = """CREATE TABLE writers (entry bigint, who text);
CREATE FUNCTION note_writer() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO writers VALUES (NEW.sequence, pg_backend_pid()::text); RETURN NULL; END $$;
CREATE TRIGGER note_writer AFTER INSERT ON entries FOR EACH ROW EXECUTE FUNCTION note_writer()"""
KILLED_WHEN = {2: "stored", 5: "journalled", 7: "decided", 9: "stored"}  # By the number of a change.


def script(one, two):
    """Ten changes after the first deployment; a number stands for the undoing of that change."""
    return [
        change("threshold", "block", {"at": 0.6}),
        change("rule", "odd", {"when": "amount > 70", "action": "challenge"}),
        change("list", "banned", {"entries": ["u3"]}), change("deploy", "canary", {"version": two, "share": 0.4}),
        change("fallback", "app", {"action": "block"}), 6, change("deploy", "champion", {"version": two}),
        change("deploy", "canary", None), 8, 2,
    ]  # fmt: skip


@contextmanager
def flowing(fleet):
    """Events until the end, all that were sent by then."""
    from benchmarks.fleet import Sender

    sender, sent, stop = Sender(fleet), [], threading.Event()

    def run():
        at = 0
        while not stop.wait(0.05):
            for one in events(at, 10):
                sent.append(one)
                sender.put("events", json.dumps(one).encode(), one["user"])
            at += 10

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield sent
    finally:
        stop.set()
        thread.join()
        sender.flush()


@pytest.mark.long
def test_decisions_follow_ten_changes_in_their_order_whichever_worker_is_killed(tmp_path, real_servers, versions):  # noqa: F811
    from benchmarks.fleet import Fleet, stopped_after, until

    file = tmp_path / "gate.yaml"
    file.write_text(NO_BREAKERS, "utf-8")
    places = {"models": f"file://{tmp_path}/store", "models_cache": str(tmp_path / "cache")}
    with Fleet(tmp_path, partitions=4, app=str(file), batch_rows=20, lent=real_servers, **places) as fleet:
        opened = journal_opener(fleet.journal_url)
        with (
            closing(stores_on(fleet.addresses, "gate")) as stores,
            closing(opened(fleet.journal_url, app="gate", words=prepare(file).words)) as journal,
            psycopg.connect(fleet.journal_url, autocommit=True) as database,
            stopped_after(fleet),
        ):  # fmt: skip
            database.execute(WRITERS)
            put = [stores.registry.put(versions / name, Lineage("gate")).version for name in ("one", "two")]
            stores.settings.append(change("deploy", "champion", {"version": put[0]}), None)
            asks = {
                "stored": lambda number: True,
                "journalled": lambda number: one_of(database, "count(*) FROM entries WHERE kind = 3") >= number,
                "decided": lambda number: one_of(database, "coalesce(max(settings), 0) FROM decisions") >= number,
            }  # fmt: skip
            workers = [fleet.worker() for _ in range(2)]
            until("both are ready", lambda: all(one.ready for one in workers))
            with flowing(fleet) as sent:
                for number, asked in enumerate(script(*put), 2):
                    one = stores.settings.since(asked - 1)[0].undo("bob", "a test") if isinstance(asked, int) else asked
                    kill = KILLED_WHEN.get(number)
                    victim = workers[number % 2]
                    if kill is not None:
                        until("the victim is there", lambda: victim.ready)
                    assert stores.settings.append(one, None).number == number
                    if kill is not None:
                        until(f"it is {kill}", lambda: asks[kill](number))
                        victim.kill()
                        before = writers(database)
                        victim.start()
                    until("it is decided under", lambda: asks["decided"](number))
                    if number == 5:  # The group notices a killed member after ten seconds.
                        until("the victim decides again", lambda: len(writers(database) - before) > 0)
            until(
                "all are decided",
                lambda: one_of(database, "count(*) FROM decisions") >= len(sent),
            )
            check_numbers(database, [(entry.sequence, entry.body) for entry in journal.read()], len(sent))
            for worker in workers:
                assert worker.stop() == 0
        with open_learner(file, fleet.addresses) as leading:
            again = Deciding(leading.source).run()
        assert again.differing == [] and (again.decisions, again.same) == (len(sent), len(sent))


def one_of(database, query):
    return database.execute(f"SELECT {query}").fetchone()[0]


def writers(database):
    """The connections that have written entries."""
    return {who for (who,) in database.execute("SELECT DISTINCT who FROM writers").fetchall()}


def check_numbers(database, entries, count):
    """The settings of each decision, in the journal and in the table, are consistent with the order of changes."""
    who = dict(database.execute("SELECT entry, who FROM writers").fetchall())
    rows = database.execute("SELECT event_id, entry, settings, rule FROM decisions").fetchall()
    assert len({event for event, *_ in rows}) == len(rows) == count
    by_entry = {entry: number for _, entry, number, _ in rows}
    journalled, newest = [], {}
    for sequence, body in entries:
        if isinstance(body, ChangeBatch):
            journalled += [one.number for one in body.changes]
        elif isinstance(body, DecisionBatch):
            assert body.settings in journalled and by_entry[sequence] == body.settings
            assert body.settings >= newest.get(who[sequence], 0)
            newest[who[sequence]] = body.settings
    assert journalled == list(range(1, 12))
    assert {number for _, _, number, _ in rows} >= set(range(2, 12))
    assert len(newest) >= 3  # By connection: both workers, and one that was started again.
    assert {rule for *_, number, rule in rows if number == 6} <= {"fallback", "banned", "odd", "tiny"}
