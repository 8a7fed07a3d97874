import contextlib
import os
import signal
import threading
import time
from dataclasses import replace
from itertools import count

import numpy as np
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.samples.reading import FORMAT1

from homeostat.adapters.disk.audit.trail import AuditLog
from homeostat.adapters.disk.audit.verification import verify
from homeostat.adapters.disk.spool import SpooledJournal
from homeostat.adapters.journals import compression
from homeostat.adapters.journals.entries import JournalError
from homeostat.adapters.postgres import PostgresJournal, copying, schema
from homeostat.adapters.postgres.auditing import PostgresTables
from homeostat.adapters.postgres.connections import Connections
from homeostat.adapters.postgres.retention import DAY_NS
from homeostat.adapters.postgres.writing import HASHED_FROM, SMALL_ROWS
from homeostat.adapters.servers.circuit import Backoff, RetryPolicy
from homeostat.checks.batches import decisions, outcomes, same, with_canary, words_of
from homeostat.checks.journal import JOURNAL_CHECKS, ids_of
from homeostat.checks.servers import postgres_server
from homeostat.checks.shared_journal import SHARED_JOURNAL_CHECKS
from homeostat.config.load import load_app
from homeostat.config.plans import vocabulary
from homeostat.decide.intake.objects import fill_composites
from homeostat.engine.answers import answer
from homeostat.engine.assembly import prepare
from homeostat.ports import Unavailable
from homeostat.ports.shared import Repeated
from homeostat.records.decisions import DecisionBatch
from homeostat.records.identity import ABSENT
from homeostat.records.reasons import Fallback

WORDS = words_of()
NUMBERS = count(1)


class HandClock:
    def __init__(self, now_ns):
        self.ns = now_ns

    def now_ns(self):
        return self.ns

    monotonic_ns = now_ns


@pytest.fixture(scope="module")
def kept(postgres):
    """An address whose tables several examples share."""
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE kept")
    return postgres.url.rsplit("/", 1)[0] + "/kept"


def open_journal(url, **settings):
    return PostgresJournal(url, **{"app": "payments", "words": WORDS, **settings})


def ask(url, sql, *values):
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(sql, values or None)
        return cursor.fetchall() if cursor.description else []


@pytest.mark.parametrize("check", JOURNAL_CHECKS + SHARED_JOURNAL_CHECKS, ids=lambda check: check.__name__)
def test_the_journal_on_postgresql_conforms(check, database):
    check(lambda: open_journal(database))


@pytest.mark.parametrize(
    "check", [SHARED_JOURNAL_CHECKS[0], SHARED_JOURNAL_CHECKS[3]], ids=lambda check: check.__name__
)
def test_it_conforms_in_a_schema_of_its_own_and_without_prepared_statements(check, empty_database):
    ask(empty_database, "CREATE SCHEMA mine")
    url = empty_database + "?options=-csearch_path%3Dmine"
    check(lambda: open_journal(url, prepare=False, compress=compression.PLAIN))
    assert ask(empty_database, "SELECT count(*) > 0 FROM mine.decisions") == [(True,)]
    assert ask(empty_database, "SELECT to_regclass('public.decisions')") == [(None,)]


def test_people_read_which_version_made_a_decision(database):
    small, large = with_canary(decisions([1, 2, 3], 1)), with_canary(decisions(list(range(10, 3000)), 2))
    with open_journal(database) as journal:
        for batch in (small, large, decisions([4], 3)):
            journal.append(batch)
    found = dict(ask(database, "SELECT event_id, version FROM decisions"))
    for batch in (small, large):
        assert [found[batch.events.id_text(row)] for row in range(len(batch))] == batch.makers
    assert found["4"] == "version-3"


def test_people_read_decisions_outcomes_and_times(database):
    with open_journal(database) as journal:
        batch = decisions(["order-1", 2], 1, start_ns=1_700_000_000_123_456_789)
        batch.ruling.action[:] = (2, 7)
        batch.ruling.rule[:] = (1, -3)
        batch.fallback[:] = (0, 36)
        journal.append(batch, ["payments.events/0@5", "payments.events/0@6"])
        journal.append(outcomes(["order-1"], 1, known_ns=1_700_000_001_000_000_000), ["payments.outcomes/0@1"])
    rows = ask(
        database, "SELECT event_id, action, rule, fallback, version, place, time::text FROM decisions ORDER BY row"
    )
    assert rows[0][:6] == ("order-1", "action_2", "rule_1", "", "version-1", "payments.events/0@5")
    assert rows[0][6].startswith("2023-11-14 22:13:20.123456")
    assert rows[1][:4] == ("2", "#7", "fallback", "scorers_absent+deadline")
    (risk,) = ask(database, "SELECT risk FROM decisions WHERE event_id = 'order-1'")[0]
    assert risk == batch.fused.risk[0]
    outcome = ask(database, "SELECT event_id, extract(epoch FROM known_at)::bigint, place FROM outcomes")
    assert outcome == [("order-1", 1_700_000_001, "payments.outcomes/0@1")]


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.one_of(st.text(st.characters(codec=None), max_size=30), st.integers(-(2**70), 2**70)), max_size=12),
    st.integers(-(2**63), 2**63 - 1), st.floats(), st.integers(-3, 3),
)  # fmt: skip
def test_any_batch_is_kept_bit_for_bit(kept, ids, time_ns, risk, keys):
    run = next(NUMBERS)
    batch = decisions([f"{run}-{key}" for key in ids], run)
    batch.events.time_ns[:] = time_ns
    batch.fused.risk[:] = risk
    batch.events.keys[:] = keys
    places = [str(key) for key in ids]
    with open_journal(kept) as journal:
        number = journal.append(batch, places)
        assert journal.append(batch, places) == number or not ids
        entry = next(journal.read(number - 1))
        assert same(entry.body, batch)
        their = journal.locate(batch.events.ids)
        known, times, own = their.found, their.time_ns, their.keys
        assert known.all() and (times == time_ns).all() and same(own, batch.events.keys) | (not ids)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=9), st.integers(-(2**63), 2**63 - 1), st.booleans()), max_size=9))
def test_rows_for_copy_equal_those_put_together_one_by_one(given_rows):
    texts, numbers = [text for text, _, _ in given_rows], np.array([number for _, number, _ in given_rows], np.int64)
    nulls = copying.texts(texts)
    nulls.length[[flag for _, _, flag in given_rows]] = -1
    made = copying.rows([nulls, copying.numbers(numbers, ">i8"), copying.arrays(numbers.reshape(-1, 1))])
    twin = b"PGCOPY\n\xff\r\n\0" + bytes(8)
    for text, number, null in given_rows:
        data = copying.storable(text)
        eight = number.to_bytes(8, "big", signed=True)
        array = b"".join(part.to_bytes(4, "big") for part in (1, 0, 20, 1, 1, 8)) + eight
        twin += b"\0\3" + (b"\xff" * 4 if null else len(data).to_bytes(4, "big") + data)
        twin += b"\0\0\0\x08" + eight + len(array).to_bytes(4, "big") + array
    assert made == twin + b"\xff\xff"


def test_many_may_start_at_once_and_another_app_is_refused(empty_database):
    opened, faults = [], []

    def start():
        try:
            opened.append(open_journal(empty_database))
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=start) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == [] and len(opened) == 5
    standing = opened[0].standing()
    assert standing.current and standing.app == "payments" and standing.missing == () and not standing.read_only
    assert abs(standing.skew_s) < 60
    with pytest.raises(JournalError, match="the journal of the app payments, not of infra"):
        open_journal(empty_database, app="infra")
    for journal in opened:
        journal.close()
    with pytest.raises(Unavailable, match="closed"):
        opened[0].append(decisions([1]))


def test_the_newest_step_is_the_one_that_this_version_expects():
    assert schema.steps()[0] == schema.HEAD


def test_tables_of_a_newer_version_are_refused(database):
    open_journal(database).close()
    ask(database, "UPDATE homeostat_version SET version_num = '9999' RETURNING 1")
    with pytest.raises(JournalError, match="newer version"):
        open_journal(database)


@pytest.mark.parametrize("undo", ["DELETE FROM homeostat_version", "DROP TABLE homeostat_version"])
def test_tables_whose_step_is_not_known_are_refused_in_a_sentence(database, undo):
    open_journal(database).close()
    ask(database, undo)
    with pytest.raises(JournalError, match="does not say at which step they are"):
        open_journal(database)
    with Connections(database) as connections:
        found = schema.standing(connections, 0)
    assert found.version is None and found.readable and set(found.tables) == set(schema.TABLES)


def test_a_user_who_lacks_privileges_learns_which(database):
    open_journal(database).close()
    name = f"guest_{os.getpid()}"
    ask(database, f"CREATE ROLE {name} LOGIN")
    try:
        url = database.replace("postgres@", f"{name}@")
        with Connections(url) as connections:
            found = schema.standing(connections, 0)
        assert any("GRANT SELECT, INSERT ON entries" in wish for wish in found.missing)
        assert any("GRANT CREATE" in wish for wish in found.missing)
        with pytest.raises(Unavailable, match=r"lacks a privilege|permission denied"):
            open_journal(url)
    finally:
        ask(database, f"DROP ROLE {name}")


def test_errors_say_what_to_do_and_never_the_password():
    for url, said in (
        ("postgresql://me:verysecret@127.0.0.1:1/db", "nothing listens there"),
        ("postgresql://me:verysecret@%zz/db", "can't be read"),
        ("postgresql://me:verysecret@no-such-host.invalid/db", "no-such-host"),
    ):
        with pytest.raises((Unavailable, ValueError), match=said) as error:
            open_journal(url)
        assert "verysecret" not in str(error.value) and "verysecret" not in repr(error.value.__cause__)


def test_old_days_are_dropped_with_their_ids_and_the_rest_stays(database):
    day = 20_000 * DAY_NS
    clock = HandClock(day)
    with open_journal(database, clock=clock, retention_ns=2 * DAY_NS) as journal:
        for k in range(5):
            clock.ns = day + k * DAY_NS
            journal.append(decisions([k], k), [f"p{k}"])
            journal.append(outcomes([k], k), [f"o{k}"])
        retired = journal.retire()
        assert (retired.days, retired.rows, retired.waiting) == (2, 4, 0)
        assert journal.seen(ids_of(0, 1, 2, 3, 4)).tolist() == [False, False, True, True, True]
        assert journal.journalled(["o1", "o2", ""]).tolist() == [False, True, False]
        assert [entry.body.id_code.tolist() for entry in journal.read() if hasattr(entry.body, "known_ns")] == [
            [2],
            [3],
            [4],
        ]
        assert journal.retire().days == 0
        clock.ns = day  # A clock that was set back finds its day's part gone, and makes it again.
        journal.append(decisions([9], 9))
        assert journal.find((9, 0)) is not None
        retired = journal.retire()
    assert ask(database, "SELECT count(*) FROM decisions") == [(4,)]


def test_a_day_that_someone_reads_is_dropped_the_next_time(database, tmp_path):
    clock = HandClock(20_000 * DAY_NS)
    with open_journal(database, clock=clock, retention_ns=DAY_NS) as journal:
        journal.append(decisions([1], 1))
        clock.ns += 5 * DAY_NS
        journal.append(decisions([2], 2))
        with psycopg.connect(database) as reader:
            reader.execute("SELECT count(*) FROM decisions")
            assert journal.retire().waiting > 0
            journal.append(decisions([3], 3))
        with SpooledJournal(open_journal(database, clock=clock, retention_ns=DAY_NS), tmp_path) as spooled:
            assert spooled.retire().waiting == 0
        assert [entry.body.events.id_code.tolist() for entry in journal.read()] == [[2], [3]]


def test_reading_waits_for_appends_under_way_and_not_for_those_begun_later(database):
    with open_journal(database) as journal, psycopg.connect(database) as other:
        journal.append(decisions([1], 1))
        other.execute("SELECT pg_advisory_xact_lock_shared(%s)", (schema.APPEND_LOCK,))
        (number,) = other.execute("SELECT nextval('entry_numbers')").fetchone()
        appended = journal.append(decisions([2], 2))
        assert appended > number
        read = []
        reader = threading.Thread(target=lambda: read.extend(entry.sequence for entry in journal.read()))
        reader.start()
        reader.join(0.1)
        assert reader.is_alive() and read == []
        journal.append(decisions([3], 3))  # Nobody who appends waits for the reader.
        other.execute("INSERT INTO entries SELECT %s, recorded_at, 0, 0, kind, codec, rows, digest, body FROM entries "
                      "WHERE sequence = %s", (number, appended))  # fmt: skip
        other.commit()
        reader.join(180)
        assert read == [1, number, appended]


def verified(trail, database):
    with Connections(database, most=1) as connections:
        return verify(trail, PostgresTables(connections, time.time_ns()))


def test_an_audit_trail_follows_it_and_finds_what_was_changed(database, tmp_path):
    with open_journal(database) as journal:
        with AuditLog(tmp_path / "audit.jsonl", journal) as audit:
            audit.started("version", None)
            journal.append(decisions(list(range(3000)), 1))
            journal.append(outcomes([1], 1))
            audit.follow(journal)
        assert verified(tmp_path / "audit.jsonl", database).ok
        assert [len(rows) for _, rows in journal.decisions(0, 5 * 10**9)] == [5]
        ask(database, "UPDATE entries SET body = set_byte(body, length(body) - 1, 77) WHERE sequence = 1 RETURNING 1")
        assert not verified(tmp_path / "audit.jsonl", database).ok
        with pytest.raises(JournalError):
            list(journal.read())


def test_a_dropped_connection_is_made_again(database):
    with open_journal(database) as journal:
        journal.append(decisions([1], 1))
        ask(database, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'homeostat'"
                      " AND datname = current_database()")  # fmt: skip
        deadline = time.monotonic() + 180
        while ask(database, "SELECT 1 FROM pg_stat_activity WHERE application_name = 'homeostat' "
                            "AND datname = current_database()") and time.monotonic() < deadline:  # fmt: skip
            time.sleep(0.01)
        assert journal.append(decisions([2], 2)) == journal.last


def losing_answers(monkeypatch, to):
    """The connection breaks once after a statement that begins so was carried out."""
    lost = []
    execute = psycopg.Connection.execute

    def losing(connection, query, *given, **named):
        answer = execute(connection, query, *given, **named)
        if query.startswith(to) and not lost:
            lost.append(1)
            connection.pgconn.finish()
            raise psycopg.OperationalError("server closed the connection unexpectedly")
        return answer

    monkeypatch.setattr(psycopg.Connection, "execute", losing)
    return lost


def test_a_small_batch_whose_answer_is_lost_is_found_when_it_is_written_again(database, monkeypatch):
    with open_journal(database) as journal:
        first = journal.append(decisions([9], 9))
        lost = losing_answers(monkeypatch, "WITH locked")
        with pytest.raises(Unavailable):
            journal.append(decisions([1, 2], 1), ["p1", "p2"])
        number = journal.append(decisions([1, 2], 1), ["p1", "p2"])
        assert lost and [entry.sequence for entry in journal.read()] == [first, number]
        with pytest.raises(Repeated):
            journal.append(decisions([1, 2], 1), ["p1", "elsewhere"])


@pytest.mark.parametrize("rows", [1, 3, SMALL_ROWS, SMALL_ROWS + 1])
def test_small_and_large_batches_leave_the_same_rows(database, rows):
    ids = [*range(rows - 1), "text\0 of a größe"]
    with open_journal(database) as journal:
        number = journal.append(decisions(ids, 5), [f"lane@{k}" for k in range(rows)])
        body = next(iter(journal.read())).body
        assert body.events.id_code.tolist() == ids_of(*ids).code.tolist() and journal.last == number
    found = ask(
        database,
        "SELECT d.event_id, d.row, d.place, i.row, i.place, i.keys, i.time_ns, d.risk, d.action, d.rule, d.fallback, "
        "extract(epoch FROM d.time) * 1000000 - i.time_ns / 1000, d.recorded_at = e.recorded_at, "
        "i.day = d.recorded_at::date, i.key_texts FROM decisions d JOIN event_ids i ON i.entry = d.entry AND "
        "i.row = d.row JOIN entries e ON e.sequence = d.entry ORDER BY d.row",
    )
    assert len(found) == rows
    for k, one in enumerate(found):
        assert one[0] == (str(ids[k]) if k < rows - 1 else "text\\u0000 of a größe")
        assert one[1] == one[3] == k and one[2] == one[4] == f"lane@{k}"
        assert one[5] == body.events.keys[k].tolist() and one[6] == body.events.time_ns[k]
        assert one[7] == body.fused.risk[k] and one[11] == 0 and one[12] and one[13]
        assert (one[14] is None) == (not (body.events.keys[k] >= HASHED_FROM).any())
        rule = int(body.ruling.rule[k])
        assert one[8] == WORDS.action(int(body.ruling.action[k]))
        assert one[9] == {-1: "", -2: "breaker", -3: "fallback"}.get(rule, WORDS.rule(rule))
        assert one[10] == Fallback.text(int(body.fallback[k]))


def test_a_commit_whose_answer_is_lost_is_found_to_have_taken_place(database, monkeypatch):
    with open_journal(database) as journal:
        first = journal.append(decisions([9], 9))
        lost = losing_answers(monkeypatch, "COMMIT")
        number = journal.append(decisions(list(range(10, 11 + SMALL_ROWS)), 1))
        assert lost and [entry.sequence for entry in journal.read()] == [first, number]


def test_a_server_that_hangs_is_unavailable_at_the_deadline(own_server):
    server = own_server(postgres_server)
    with open_journal(server.url, deadline_s=0.5) as journal:
        journal.append(decisions([1], 1))
        (pid,) = journal._connections.run(lambda c: c.execute("SELECT pg_backend_pid()").fetchone())
        os.kill(pid, signal.SIGSTOP)
        try:
            with pytest.raises(Unavailable, match=r"no answer within 0\.5 s"):
                journal.append(decisions([2], 2))
        finally:
            os.kill(pid, signal.SIGCONT)
        journal.append(decisions([3], 3))
        assert journal.seen(ids_of(1, 3)).all()


def test_a_read_only_server_is_named_as_such(database):
    with open_journal(database) as journal:
        name = database.rsplit("/", 1)[1]
        ask(database, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        journal._connections._drop_idle()
        with pytest.raises(Unavailable, match="read-only"):
            journal.append(decisions([1], 1))


def test_a_server_stopped_under_load_loses_nothing_doubles_nothing_and_keeps_the_order(own_server, tmp_path):
    server = own_server(postgres_server)
    inner = open_journal(server.url)
    policy = RetryPolicy(2.0, failures=1, backoff=Backoff(0.05, 0.2))
    sent, refused = [], 0
    with SpooledJournal(inner, tmp_path, policy=policy) as journal:
        for k in range(240):
            if k == 60:
                server.stop()
            elif k == 120:
                server.start()
            elif k == 150:
                server.kill()
            elif k == 180:
                server.start()
            ids = list(range(k * 20, k * 20 + 20))
            journal.append(decisions(ids, k, features=3), [f"t/0@{key}" for key in ids])
            sent += ids
            assert journal.seen(ids_of(*ids)).all()
        assert journal.wait_until_written(180) and not journal.degraded and journal.figures.drained > 0
        journal.append(decisions([-1], 1))
        read = np.concatenate([entry.body.events.id_code for entry in inner.read()]).tolist()
    assert read == [*sent, -1] and refused == 0
    assert ask(server.url, "SELECT count(*), count(DISTINCT event_id) FROM decisions") == [
        (len(sent) + 1, len(sent) + 1)
    ]


def test_two_workers_write_the_same_ids_at_once_and_the_server_is_killed_meanwhile(own_server, tmp_path):
    server = own_server(postgres_server)
    batches = [list(range(k * 10, k * 10 + 15)) for k in range(60)]
    policy = RetryPolicy(2.0, failures=1, backoff=Backoff(0.05, 0.2))
    faults = []

    def work(worker):
        try:
            with SpooledJournal(open_journal(server.url), tmp_path, policy=policy) as journal:
                for k, ids in enumerate(batches):
                    wanted = ids
                    while wanted:
                        try:
                            journal.append(
                                decisions(wanted, worker * 1000 + k, features=2), [f"{worker}@{x}" for x in wanted]
                            )
                            break
                        except Repeated as repeated:
                            gone = set(repeated.rows.tolist())
                            wanted = [key for row, key in enumerate(wanted) if row not in gone]
                    if k == 20 and worker == 0:
                        server.kill()
                        server.start()
                assert journal.wait_until_written(180)
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    with open_journal(server.url) as journal:
        ids = np.concatenate([entry.body.events.id_code for entry in journal.read()]).tolist()
    assert sorted(ids) == list(range(605))
    rows = ask(server.url, "SELECT count(*), count(DISTINCT event_id) FROM decisions")
    assert rows == [(605, 605)] and ask(server.url, "SELECT count(*) FROM event_ids") == [(605,)]
    with contextlib.suppress(FileNotFoundError):
        assert not list(tmp_path.rglob("*.spool"))


def test_the_tables_of_version_1_are_brought_up_to_date_and_shown_as_they_were(empty_database):
    text = (FORMAT1 / "postgres.sql").read_text()
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute(text)
    shop = vocabulary(load_app(FORMAT1 / "shop.yaml"))
    recorded = ask(empty_database, "SELECT event_id, action, rule FROM public.decisions")
    with open_journal(empty_database, app="shop", words=shop) as journal:
        assert len(recorded) == 40
        for event_id, action, rule in recorded:
            one = answer(*journal.find_text(event_id))
            assert (one["action"], one["rule"]) == (action, rule)
    changed = replace(shop, actions=("yes", "perhaps", "no"), entities=shop.entities[::-1])
    with open_journal(empty_database, app="shop", words=changed) as journal:
        for event_id, action, rule in recorded:
            one = answer(*journal.find_text(event_id))
            assert (one["action"], one["rule"]) == (action, rule)
        for event_id, _, _ in recorded:
            ids = journal.coding.ids([event_id])
            batch, row = journal.find(ids.at(0), event_id)
            their = journal.locate(ids)
            assert their.found.all() and their.keys[0].tolist() == batch.events.keys[row].tolist()[::-1]
            assert their.key_checks[0].tolist() == batch.events.key_checks[row].tolist()[::-1]
            assert set(their.texts.items()) <= set(batch.events.texts.items())


def test_ids_and_keys_of_the_tables_of_version_1_are_named_by_the_secret_of_the_database(empty_database):
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute((FORMAT1 / "postgres.sql").read_text())
    before = dict(ask(empty_database, "SELECT code, keys FROM public.event_ids"))
    prepared = prepare(FORMAT1 / "shop.yaml")
    with open_journal(empty_database, app="shop", words=prepared.words) as journal:
        now = prepared.keyed(journal.coding)
        for entry in journal.read():
            if not isinstance(entry.body, DecisionBatch):
                continue
            events = entry.body.events
            their = journal.locate(events.ids)
            assert their.found.all() and (their.keys == events.keys).all()
            assert (their.key_checks == events.key_checks).all()
            keys, checks = events.keys.copy(), events.key_checks.copy()
            fill_composites(keys, checks, now.schema)
            assert (keys == events.keys).all() and (checks == events.key_checks).all()
            assert [now.coding.identify(events.id_text(row)) for row in range(len(events))] == events.ids.tolist()
    after = ask(empty_database, "SELECT code, code_check FROM event_ids")
    assert len(after) == len(before) and {code for code, check in after if not check} <= before.keys()
    assert not {code for code, check in after if check} & before.keys()


def test_keys_are_located_in_the_columns_of_the_app_that_asks(database):
    batch = decisions([1, 2], 1)
    with open_journal(database) as journal:
        journal.append(batch)
    reordered = replace(WORDS, entities=(("shop", ()), *WORDS.entities[::-1]))
    with open_journal(database, words=reordered) as journal:
        keys = journal.locate(batch.events.ids).keys
    assert (keys[:, 0] == ABSENT).all()
    assert keys[:, 1:].tolist() == batch.events.keys[:, ::-1].tolist()


def test_decisions_that_were_made_under_other_names_are_written_in_those(database):
    batch = decisions([1], 1, actions=2)
    batch.ruling.action[:] = 1
    batch.ruling.rule[:] = 0
    with open_journal(database, words=words_of(3, 5)) as journal:
        journal.append(replace(batch, words=replace(batch.words, actions=("go", "stop"), rules=(("old", None),))))
    assert ask(database, "SELECT action, rule FROM decisions") == [("stop", "old")]
