"""Made the samples of this folder, once, with version 0.1.0 before format 2 of its files. Kept to show how.

    python make.py FOLDER      # with that version importable, redis-server and PostgreSQL installed

It writes FOLDER/{access,shop,replay,trained}.tar.gz and FOLDER/postgres.sql.
"""

import json
import os
import random
import signal
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
from contextlib import suppress
from pathlib import Path

HERE = Path(__file__).parent
RUN = [sys.executable, "-m", "homeostat"]


def access_events(start, n):
    rng = random.Random(start)
    for k in range(start, start + n):
        yield {
            "event_id": f"a-{k}" if k % 3 else str(k), "entity_id": rng.choice(["12", "anna", "bob@example.org"]),
            "event_type": rng.choice(["login", "action"]), "value": rng.choice([None, 1, 2.5, 10]),
            "timestamp": f"2026-01-30T12:{k // 60:02d}:{k % 60:02d}Z",
        }  # fmt: skip


def shop_events(start, n):
    rng = random.Random(start)
    for k in range(start, start + n):
        yield {
            "order_id": f"order-{k}" if k % 2 else str(1000 + k),
            "customer": rng.choice(["1", "2", "carla", "evil"]), "terminal": rng.choice(["7", "t-eight"]),
            "amount": rng.choice([5, 20, 60, 75.25, 95]), "country": rng.choice(["AT", "DE", "Côte d'Ivoire"]),
            "online": rng.random() < 0.5, "at": f"2026-01-30T{4 + k // 120:02d}:{k // 2 % 60:02d}:{k % 2 * 30:02d}Z",
        }  # fmt: skip


def shop_outcomes(start, n):
    for k in range(start, start + n, 3):
        yield {
            "event_id": f"order-{k}" if k % 2 else str(1000 + k), "label": k // 3 % 2,
            "time": f"2026-01-30T{4 + (k + 8) // 120:02d}:{(k + 8) // 2 % 60:02d}:00Z",
        }  # fmt: skip


def served(app, data, requests, end):
    """Serve an app, send (path, object) pairs, end the server with a signal, and keep what it answered."""
    answers = []
    with subprocess.Popen(
        [*RUN, "serve", app, "--port", "0", "--data", str(data)], stderr=subprocess.PIPE, text=True
    ) as server:
        where = next(line for line in server.stderr if " decides at " in line).rsplit(" ", 1)[1].strip()
        for path, body in requests:
            request = urllib.request.Request(
                where + path, json.dumps(body).encode(), {"content-type": "application/json"}
            )
            with suppress(urllib.error.HTTPError):
                answers.append(json.loads(urllib.request.urlopen(request, timeout=60).read()))
        server.send_signal(end)
        server.communicate()
    path = data / "answers.jsonl"
    with open(path, "a") as file:
        file.writelines(json.dumps(answer) + "\n" for answer in answers)


def packed(folder, out):
    with tarfile.open(out / f"{folder.name}.tar.gz", "w:gz", compresslevel=9) as tar:
        for path in sorted(folder.rglob("*")):
            tar.add(path, str(path.relative_to(folder)), recursive=False)


def lines(path, items):
    path.write_text("".join(json.dumps(item) + "\n" for item in items))
    return path


def postgres(app, out, work):
    """A worker's tables, as SQL text."""
    from redis import Redis

    from homeostat.checks.servers import postgres_server, redis_server

    with redis_server() as redis, postgres_server() as server:
        world = work / "world.yaml"
        stream = redis.url.replace("redis://", "redis-stream://")
        world.write_text(
            f"world:\n  events: {stream}/shop.events\n  outcomes: {stream}/shop.outcomes\n"
            f"  decisions: {stream}/shop.decisions\n  features: {redis.url}\n  journal: {server.url}\n"
        )
        client = Redis.from_url(redis.url)
        for event in shop_events(0, 40):
            client.xadd("shop.events", {k: str(v).lower() if isinstance(v, bool) else str(v) for k, v in event.items()})
        client.xadd("shop.events", {"order_id": "bad", "amount": "much"})
        environment = {**os.environ, "HOMEOSTAT_STATE": str(work)}
        with subprocess.Popen([*RUN, "worker", app, "--config", str(world)], cwd=work, env=environment) as worker:
            while client.xlen("shop.decisions") < 40:
                signal.sigtimedwait(set(), 0.5)
                assert worker.poll() is None
            for outcome in shop_outcomes(0, 40):
                client.xadd("shop.outcomes", {k: str(v) for k, v in outcome.items()})
            signal.sigtimedwait(set(), 3)
            worker.send_signal(signal.SIGTERM)
            worker.wait()
        command = ["pg_dump", "--inserts", "--no-owner", "--no-privileges", server.url]
        dump = subprocess.run(command, capture_output=True, check=True, text=True).stdout
        kept = [line for line in dump.splitlines() if line and not line.startswith(("--", "\\"))]
        (out / "postgres.sql").write_text("\n".join(kept) + "\n")


def main(out):
    shop = str(HERE / "shop.yaml")
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        decide, learn = "/v1/decide", "/v1/outcomes"
        events = list(access_events(0, 30))
        served("access", work / "access", [*((decide, event) for event in events), (decide, {"event_id": "bad"}),
               (learn, [{"event_id": "a-1", "label": 1, "time": "2026-01-30T13:00:00Z"}])], signal.SIGTERM)  # fmt: skip
        packed(work / "access", out)
        served(shop, work / "shop", [
            (decide, list(shop_events(0, 60))), *((decide, event) for event in shop_events(60, 10)),
            (learn, list(shop_outcomes(0, 70))), (decide, {"order_id": "bad", "amount": "much"}),
        ], signal.SIGTERM)  # fmt: skip
        served(shop, work / "shop", [
            *((decide, event) for event in shop_events(70, 10)), (learn, list(shop_outcomes(70, 10))),
            (decide, list(shop_events(80, 20))), (decide, list(shop_events(0, 3))),
        ], signal.SIGKILL)  # fmt: skip
        packed(work / "shop", out)
        history = lines(work / "events.jsonl", [*shop_events(0, 100), {"order_id": "bad"}])
        known = lines(work / "outcomes.jsonl", shop_outcomes(0, 100))
        subprocess.run([*RUN, "replay", shop, str(history), "--outcomes", str(known), "--out", str(work / "replay"),
                        "--chunk-rows", "40"], check=True)  # fmt: skip
        packed(work / "replay", out)
        trained = work / "trained.yaml"
        trained.write_text(Path(shop).read_text().replace("scorers:\n", (
            "scorers:\n  forest: {kind: isolation_forest, settings: {trees: 4, rows: 32}}\n"
        )))  # fmt: skip
        bundle = work / "trained"
        subprocess.run([*RUN, "train", str(trained), str(history), "--outcomes", str(known), "--until",
                        "2026-01-30T06:00:00Z", "--out", str(bundle)], check=True)  # fmt: skip
        (bundle / "app.yaml").write_text(trained.read_text())
        packed(bundle, out)
        postgres(shop, out, work)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
