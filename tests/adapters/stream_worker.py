"""A worker in a process of its own: `stream_worker.py WORLD APP NAME JOURNAL WHERE`.

It journals each event once and publishes an answer for it. WHERE says at which point of its first batch it stops and
waits to be killed: `journalled` or `committing`; `paused`, to go on after a line of input; or `nowhere`.
"""

import sys
import time
from pathlib import Path

from homeostat.adapters.streams.opening import open_stream
from homeostat.config.servers import Servers
from homeostat.ports.streams import Fenced, Outgoing, Pulled


def pick(pulled, keep):
    return Pulled(*([getattr(pulled, name)[row] for row in keep] for name in Pulled.__slots__))


def wait():
    print("waits", flush=True)
    time.sleep(600)


def main(servers, app, name, journal, where):
    stream = open_stream(Servers.model_validate_json(servers), app, client_id=name)
    if where == "committing" and hasattr(stream, "_publisher"):
        producer = stream._publisher._producer

        class Stuck:
            def __getattr__(self, attribute):
                return wait if attribute == "commit_transaction" else getattr(producer, attribute)

            def commit_transaction(self, timeout):
                producer.flush(180)
                wait()

        stream._publisher._producer = Stuck()
    path = Path(journal)
    path.touch()
    print("runs", flush=True)
    while True:
        events, _ = stream.pull(50, 0.05)
        if not len(events):
            continue
        known = set(path.read_bytes().splitlines())
        with open(path, "ab") as file:
            for value in events.values:
                if value not in known:
                    file.write(value + b"\n")
        if where == "journalled":
            wait()
        if where == "paused":
            print("waits", flush=True)
            sys.stdin.readline()
        while len(events):
            try:
                stream.publish([events], [Outgoing(b"decided " + value, value) for value in events.values], [])
                break
            except Fenced:
                print("fenced", flush=True)
                events = pick(events, [row for row, mine in enumerate(stream.owned(events)) if mine])


if __name__ == "__main__":
    main(*sys.argv[1:])
