"""The history of metrics becomes one wide table: of a real InfluxDB 1.x, a real Prometheus, and documented answers."""

from __future__ import annotations

import json
import time
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.support.predicting_app import ask_influx

from homeostat.adapters.disk.wide_files import UnknownFormat, WideWriter
from homeostat.adapters.http.asking import Unreadable
from homeostat.adapters.metrics.history import Metric, Span, Value
from homeostat.adapters.metrics.opening import open_history
from homeostat.adapters.prometheus import reading
from homeostat.adapters.prometheus.remote_write import write_request_class
from homeostat.cli import main
from homeostat.config.stores import BadStore, read_store
from homeostat.errors import Unavailable
from homeostat.jobs import collecting
from homeostat.jobs.collecting import NothingToCollect, collect

S = 10**9
START_S = 1_780_000_000 // 60 * 60


def unhurried(pause_s):
    pass


def table(history, span, tmp_path, tags=(), name="out.parquet"):
    """The rows of the table of a span, and the counts."""
    found = collect(history, span, tags, tmp_path / name, lambda text, share: None, unhurried)
    return pq.read_table(tmp_path / name).to_pylist(), found


def at(row):
    return int(np.datetime64(row["time"].replace(tzinfo=None), "s").astype(int)) - START_S


@pytest.fixture(scope="module")
def telegraf(influx):
    """An hour of two hosts every ten seconds in a database, whose host b is silent for twenty minutes."""
    ask_influx(influx.url, "telegraf", "CREATE DATABASE telegraf")
    lines = []
    for k in range(360):
        for host in "ab":
            if host == "b" and 120 <= k < 240:
                continue
            when = (START_S + 10 * k) * S
            lines.append(f'cpu,host={host},cpu=cpu-total idle={k}.5,busy={k}i,note="x" {when}')
            lines.append(f"mem,host={host} used={2 * k} {when + S}")
    request = urllib.request.Request(f"{influx.url}/write?db=telegraf", "\n".join(lines).encode(), method="POST")
    with urllib.request.urlopen(request, timeout=60) as reply:
        assert reply.status == 204
    return f"influxdb://{influx.address}/telegraf"


def test_buckets_of_influxdb_are_means_and_gaps_are_rows_without_values(telegraf, tmp_path):
    history = open_history(read_store(telegraf), (), (), {})
    span = Span(START_S * S, (START_S + 3600) * S, 60 * S)
    rows, found = table(history, span, tmp_path)
    assert (found.rows, found.entities, found.metrics, found.gaps) == (120, 2, 3, 20)
    assert list(rows[0]) == ["time", "host", "cpu.busy{cpu=cpu-total}", "cpu.idle{cpu=cpu-total}", "mem.used"]
    by = {(at(row), row["host"]): row for row in rows}
    assert [(at(row), row["host"]) for row in rows] == sorted(by)
    for k in range(60):
        first = np.arange(6 * k, 6 * k + 6)
        assert by[60 * k, "a"]["cpu.idle{cpu=cpu-total}"] == pytest.approx(float(np.mean(first + 0.5)))
        assert by[60 * k, "a"]["mem.used"] == pytest.approx(float(np.mean(2 * first)))
        assert (by[60 * k, "b"]["mem.used"] is None) == (20 <= k < 40)


def test_what_was_measured_is_the_same_however_long_the_parts_are(telegraf, tmp_path, monkeypatch):
    span = Span(START_S * S, (START_S + 3600) * S)
    whole, found = table(open_history(read_store(telegraf), ("mem",), (), {}), span, tmp_path)
    assert found.rows == found.values == 600 and {row["host"] for row in whole} == {"a", "b"}
    monkeypatch.setattr(collecting, "_VALUES", 7)
    assert table(open_history(read_store(telegraf), ("mem",), (), {}), span, tmp_path)[0] == whole
    assert [row["mem.used"] for row in whole if row["host"] == "a"] == [2.0 * k for k in range(360)]


def test_the_command_writes_csv_that_validate_reads(telegraf, tmp_path, capsys):
    out, until = tmp_path / "out.csv", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(START_S + 3600))
    with pytest.raises(SystemExit, match="0"):
        main(
            [
                "collect",
                "--from",
                telegraf,
                "--range",
                "1h",
                "--until",
                until,
                "--every",
                "1m",
                "--out",
                str(out),
                "--json",
            ]
        )
    assert json.loads(capsys.readouterr().out) == {
        "file": str(out), "rows": 120, "entities": 2, "metrics": 3, "values": 300, "gaps": 20,
    }  # fmt: skip
    lines = out.read_text().splitlines()
    assert lines[0] == "time,host,cpu.busy{cpu=cpu-total},cpu.idle{cpu=cpu-total},mem.used" and len(lines) == 121
    with pytest.raises(SystemExit, match="0"):
        main(["validate", str(out), "--json"])
    assert {one["name"] for one in json.loads(capsys.readouterr().out)["checks"]} >= {"schema", "duplicates and order"}


@pytest.fixture(scope="module")
def scraped(prometheus_store):
    """Two hours of a metric of two instances every 15 seconds, the second with a gap, in a Prometheus."""
    now_s = int(time.time()) // 60 * 60 - 60
    request = write_request_class()()
    for instance in ("a:9100", "b:9100"):
        series = request.timeseries.add()
        for name, value in (("__name__", "collected_load"), ("instance", instance), ("job", "node")):
            series.labels.add(name=name, value=value)
        for k in range(160):
            if not (instance == "b:9100" and 40 <= k < 80):
                series.samples.add(timestamp=1000 * (now_s - 2400 + 15 * k), value=float(k))
    body = pa.Codec("snappy").compress(request.SerializeToString(), asbytes=True)
    headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}
    write = urllib.request.Request(f"{prometheus_store.url}/api/v1/write", body, headers, method="POST")
    with urllib.request.urlopen(write, timeout=60) as reply:
        assert reply.status in (200, 204)
    return f"prometheus://{prometheus_store.address}", now_s


def test_buckets_of_prometheus_are_means_of_their_own_samples(scraped, tmp_path):
    address, end_s = scraped
    history = open_history(read_store(address), ("collected_load",), (), {})
    rows, found = table(history, Span((end_s - 2400) * S, end_s * S, 60 * S), tmp_path)
    assert (found.rows, found.entities, found.gaps) == (80, 2, 10)
    assert list(rows[0]) == ["time", "instance", "collected_load{job=node}"]
    own = [row["collected_load{job=node}"] for row in rows if row["instance"] == "a:9100"]
    assert own == [4 * k + 1.5 for k in range(40)]


def test_samples_and_expressions_of_prometheus(scraped, tmp_path):
    address, end_s = scraped
    span = Span((end_s - 2400) * S, end_s * S)
    rows, found = table(open_history(read_store(address), ("collected_load",), (), {}), span, tmp_path)
    assert found.rows == found.values == 280
    assert [row["collected_load{job=node}"] for row in rows if row["instance"] == "a:9100"] == [*map(float, range(160))]
    history = open_history(read_store(address), (), ("sum(collected_load)",), {})
    rows, found = table(history, span._replace(every_ns=300 * S), tmp_path)
    assert found.entities == 1 and [row["sum(collected_load)"] for row in rows][:2] == [0.0, 40.0]


def test_a_long_range_is_asked_for_in_parts_of_at_most_11000_points(scraped, tmp_path):
    address, end_s = scraped
    history = open_history(read_store(address), (), ("collected_load",), {})
    span = Span((end_s - 12_000) * S, end_s * S, S)
    values = [one for one in history.values(span) if dict(one.metric.series.tags)["instance"] == "a:9100"]
    times = [(one.time_ns // S) - end_s for one in values]
    assert times == list(range(-2400, 0)) and values[15].number == 1.0
    with pytest.raises(Unreadable, match="11,000 points"):
        list(history._ask("query_range", {"query": "1", "start": "0", "end": "11001", "step": "1"}))


def test_parts_of_a_range_have_the_values_of_the_whole(scraped, monkeypatch):
    address, end_s = scraped
    history = open_history(read_store(address), ("collected_load",), (), {})
    span = Span((end_s - 2400) * S, end_s * S, 60 * S)
    whole = sorted(history.values(span))
    monkeypatch.setattr(reading, "POINTS_MAX", 7)
    assert sorted(history.values(span)) == whole and len(whole) == 70


@contextmanager
def answering(*answers):
    """A server that gives recorded answers in order; yields its address and what it was asked."""
    asked, given = [], list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            parts = urlsplit(self.path)
            asked.append((parts.path, {k: v[0] for k, v in parse_qs(parts.query).items()}, dict(self.headers), body))
            status, text = given.pop(0) if len(given) > 1 else given[0]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        do_POST = do_GET

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


# As InfluxDB 2.7 answers: https://docs.influxdata.com/influxdb/v2/reference/syntax/annotated-csv/
FLUX = (
    "#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,double,string,string,string\r\n"
    ",result,table,_start,_stop,_time,_value,_field,_measurement,host\r\n"
    ",_result,0,2026-05-28T20:26:00Z,2026-05-28T20:28:00Z,2026-05-28T20:26:00Z,1.5,idle,cpu,a\r\n"
    ",_result,0,2026-05-28T20:26:00Z,2026-05-28T20:28:00Z,2026-05-28T20:27:00Z,2.5,idle,cpu,a\r\n"
    "\r\n"
    "#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,long,string,string,string\r\n"
    ",result,table,_start,_stop,_time,_value,_field,_measurement,host\r\n"
    ',_result,1,2026-05-28T20:26:00Z,2026-05-28T20:28:00Z,2026-05-28T20:27:00Z,7,used,mem,"b, c"\r\n'
    "\r\n"
)
FLUX_ERROR = "#datatype,string,string\r\n,error,reference\r\n,failed to plan the query,897\r\n"
TIME_NS = int(np.datetime64("2026-05-28T20:26:00", "ns").astype(int))
SPAN = Span(TIME_NS, TIME_NS + 120 * S, 60 * S)


def test_influxdb_2_is_read_by_flux(tmp_path):
    with answering((200, FLUX)) as (address, asked):
        store = read_store(f"influxdb://{address}/metrics?org=ops")
        history = open_history(store, ("cpu", "mem"), (), {"HOMEOSTAT_COLLECT__TOKEN": "geheim"})
        rows, found = table(history, SPAN, tmp_path)
    assert [(row["host"], row["cpu.idle"], row["mem.used"]) for row in rows] == [
        ("a", 1.5, None), ("b, c", None, None), ("a", 2.5, None), ("b, c", None, 7.0),
    ]  # fmt: skip
    assert found.gaps == 1
    path, parameters, headers, body = asked[1]
    assert path == "/api/v2/query" and parameters == {"org": "ops"} and headers["Authorization"] == "Token geheim"
    query = json.loads(body)["query"]
    assert 'from(bucket: "metrics") |> range(start: 2026-05-28T20:26:00Z, stop: 2026-05-28T20:28:00Z)' in query
    assert "aggregateWindow(every: 60000000000ns, fn: mean, createEmpty: false" in query
    assert asked[0][3] != body and "last()" in json.loads(asked[0][3])["query"]


COLUMNS = "".join(
    json.dumps({"table_name": "cpu", "column_name": name, "data_type": kind}) + "\n"
    for name, kind in (("host", "Dictionary(Int32, Utf8)"), ("idle", "Float64"), ("note", "Utf8"), ("n", "Int64"),
                       ("time", "Timestamp(Nanosecond, None)"))
)  # fmt: skip


def test_influxdb_3_is_read_by_sql(tmp_path):
    counts = '{"idle": 2, "n": 0, "host": "a"}\n'
    values = '{"time": "2026-05-28T20:26:00", "idle": 1.5, "host": "a"}\n'
    values += '{"time": "2026-05-28T20:27:00", "idle": 2.5, "host": "a"}\n'
    with answering((200, COLUMNS), (200, counts), (200, values)) as (address, asked):
        history = open_history(read_store(f"influxdb://{address}/metrics?version=3"), (), (), {})
        rows, _ = table(history, SPAN, tmp_path)
    assert [(row["host"], row["cpu.idle"]) for row in rows] == [("a", 1.5), ("a", 2.5)]
    assert {path for path, *_ in asked} == {"/api/v3/query_sql"} and asked[0][1]["format"] == "jsonl"
    query = asked[2][1]["q"]
    assert 'avg("idle")' in query and "date_bin(INTERVAL '60000000000 nanoseconds', time," in query
    assert "time >= TIMESTAMP '2026-05-28T20:26:00Z'" in query and '"host"' in query


@pytest.mark.parametrize(
    ("address", "answer", "error", "why"),
    [
        ("influxdb://{}/db", (401, "no"), Unreadable, "answers 401: no"),
        ("influxdb://{}/db", (503, ""), Unavailable, "answers 503"),
        ("influxdb://{}/db", (302, ""), Unreadable, "answers 302"),
        ("influxdb://{}/db", (200, '{"results":[{"error":"database not found: db"}]}\n'), Unreadable, "database not"),
        ("influxdb://{}/db", (200, "<html>\n"), Unreadable, "no InfluxQL result"),
        ("influxdb://{}/db", (200, '{"results":[{}]}\n'), NothingToCollect, "no numeric metrics"),
        ("influxdb://{}/db?org=o", (200, FLUX_ERROR), Unreadable, "failed to plan"),
        ("influxdb://{}/db?org=o", (200, FLUX.replace("_time", "_when")), Unreadable, "no table of Flux"),
        ("influxdb://{}/db?version=3", (200, "{\n"), Unreadable, "no JSON line"),
        ("prometheus://{}", (200, "{}"), Unreadable, "no result"),
        ("prometheus://{}", (200, '{"status":"error","error":"parse error"}'), Unreadable, "parse error"),
    ],
)
def test_an_answer_that_is_none_is_a_sentence_and_no_table(address, answer, error, why, tmp_path):
    with answering(answer) as (there, _):
        history = open_history(read_store(address.format(there)), ("up",), (), {})
        with pytest.raises(error, match=why):
            table(history, SPAN, tmp_path)
    assert not list(tmp_path.iterdir())


class Flaky:
    """A store whose answers fail some times."""

    def __init__(self, failures):
        self.failures = failures

    def metrics(self, span):
        return [METRIC]

    def values(self, span):
        if self.failures:
            self.failures -= 1
            raise Unavailable("it is away")
        yield Value(METRIC, span.start_ns, 1.0)


METRIC = Metric(reading.Series("up", (("host", "a"),)), "value")


def test_a_part_is_tried_again_and_a_store_that_stays_away_leaves_no_table(tmp_path):
    rows, _ = table(Flaky(4), SPAN, tmp_path)
    assert [row["up"] for row in rows] == [1.0, None]
    with pytest.raises(Unavailable, match="away"):
        table(Flaky(99), SPAN, tmp_path, name="none.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["out.parquet"]


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("http://127.0.0.1/db", "begin with"), ("influxdb://127.0.0.1", "no database"),
        ("influxdb://u:p@127.0.0.1/db", "COLLECT__TOKEN"), ("influxdb://127.0.0.1:x/db", "can't be read"),
        ("influxdb://127.0.0.1/db?verson=2", "asks for verson"), ("influxdb://127.0.0.1/db?version=4", "1, 2 or 3"),
        ("influxdb://127.0.0.1/db?version=2", "organisation"),
    ],
)  # fmt: skip
def test_an_address_that_is_none_says_which_part(address, why):
    with pytest.raises(BadStore, match=why):
        read_store(address)


def test_a_wide_table_needs_a_known_ending_and_room(tmp_path):
    with pytest.raises(UnknownFormat, match=r"\.parquet"):
        WideWriter(tmp_path / "out.txt", (), ("up",))
    with pytest.raises(Unavailable, match="can't be written"):
        WideWriter(tmp_path / "none" / "out.csv", (), ("up",))
