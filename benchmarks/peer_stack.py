"""A decision service as one would put it together: Redis for windows, each model by its own library, event by event.

A Redis server of its own on the loopback keeps a sorted set a customer and one a terminal; scikit-learn, PyTorch,
XGBoost and Stable-Baselines3 each predict one row; rules are Python. The models are of the kinds and sizes that the
payments app has. Nothing is journalled or explained, and labels are in Redis as if a job had put them there: both in
the stack's favour.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.transactions import DELAY_DAYS, LENGTHS

DAY_S = 86_400
KEPT_S = max(LENGTHS) * DAY_S
DELAY_S = DELAY_DAYS * DAY_S
NAMES = (
    *(f"customer_{kind}_{days}d" for days in LENGTHS for kind in ("count", "mean_amount")),
    *(f"terminal_{kind}_{days}d" for days in LENGTHS for kind in ("count", "risk")),
    "weekend", "night", "amount",
)  # fmt: skip
TRAINED_ROWS = 20_000


def redis_server() -> str | None:
    """The server's program, None where there is none."""
    return shutil.which("redis-server")


@contextmanager
def running_redis(folder: Path) -> Iterator[Any]:
    """A client of a server of our own on a free port of the loopback, in memory only; ended afterwards."""
    import redis

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = redis_server()
    assert program is not None
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(folder)]
    server = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        client = redis.Redis(host="127.0.0.1", port=port)
        _wait_for(client, server)
        yield client
    finally:
        server.terminate()
        server.wait(10)


def _wait_for(client: Any, server: subprocess.Popen[bytes]) -> None:
    import redis

    end = time.monotonic() + 10
    while True:
        try:
            client.ping()
            return
        except redis.exceptions.ConnectionError:
            if server.poll() is not None or time.monotonic() > end:
                raise
            time.sleep(0.02)


@dataclass(frozen=True, slots=True)
class Payment:
    """One payment as the stack gets it."""

    id: int
    time_s: int
    customer: int
    terminal: int
    amount: float
    fraud: int


def payments_of(events: Any, rows: np.ndarray) -> list[Payment]:
    """Some rows of an event batch."""
    columns = (
        events.id_code[rows], events.time_ns[rows] // 10**9, events.keys[rows, 0], events.keys[rows, 1],
        events.numbers[rows, 0], events.label[rows].astype(int),
    )  # fmt: skip
    return [Payment(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def fill(client: Any, past: list[Payment]) -> None:
    """The contents of the sorted sets when the measurement begins."""
    pipe = client.pipeline(transaction=False)
    for payment in past:
        _remember(pipe, payment)
    pipe.execute()


def _remember(pipe: Any, p: Payment) -> None:
    pipe.zadd(f"customer:{p.customer}", {f"{p.id}:{p.amount}": p.time_s})
    pipe.zadd(f"terminal:{p.terminal}", {f"{p.id}:{p.fraud}": p.time_s})


def windows(client: Any, p: Payment) -> list[float]:
    """The 15 features, in one round trip."""
    t, delayed = p.time_s, p.time_s - DELAY_S
    customer, terminal = f"customer:{p.customer}", f"terminal:{p.terminal}"
    pipe = client.pipeline(transaction=False)
    _remember(pipe, p)
    pipe.zremrangebyscore(customer, "-inf", t - KEPT_S)
    pipe.zremrangebyscore(terminal, "-inf", delayed - KEPT_S)
    pipe.zrangebyscore(customer, f"({t - KEPT_S}", t, withscores=True)
    pipe.zrangebyscore(terminal, f"({delayed - KEPT_S}", delayed, withscores=True)
    own, there = pipe.execute()[-2:]
    amounts = [(at, float(member.split(b":")[1])) for member, at in own]
    frauds = [(at, float(member.split(b":")[1])) for member, at in there]
    features = []
    for days in LENGTHS:
        inside = [amount for at, amount in amounts if at > t - days * DAY_S]
        features += [float(len(inside)), sum(inside) / len(inside) if inside else 0.0]
    for days in LENGTHS:
        inside = [fraud for at, fraud in frauds if at > delayed - days * DAY_S]
        features += [float(len(inside)), sum(inside) / len(inside) if inside else 0.0]
    weekday, hour = (t // DAY_S + 3) % 7, t // 3600 % 24
    return [*features, float(weekday >= 5), float(hour <= 6), p.amount]


class Models:
    """An isolation forest, boosted trees, a network and a PPO policy, each asked through its own library."""

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        import gymnasium
        import torch
        import xgboost
        from sklearn.ensemble import IsolationForest
        from stable_baselines3 import PPO

        self.torch = torch
        self.forest = IsolationForest(n_estimators=100, max_samples=min(2048, len(x)), random_state=0).fit(x)
        self.trees = xgboost.XGBClassifier(n_estimators=300, max_depth=5, learning_rate=0.05, n_jobs=1).fit(x, y)
        torch.manual_seed(0)
        self.center, self.scale = x.mean(axis=0), x.std(axis=0) + 1e-9
        self.network = torch.nn.Sequential(
            torch.nn.Linear(len(NAMES), 64), torch.nn.ReLU(), torch.nn.Linear(64, 64), torch.nn.ReLU(),
            torch.nn.Linear(64, 1), torch.nn.Sigmoid(),
        ).eval()  # fmt: skip

        class Space(gymnasium.Env[np.ndarray, int]):
            """Only tells the policy its sizes; an untrained policy predicts as fast as a trained one."""

            observation_space = gymnasium.spaces.Box(-10, 10, (len(NAMES) + 1,), np.float32)
            action_space = gymnasium.spaces.Discrete(3)

        self.policy = PPO("MlpPolicy", Space(), device="cpu")

    def decide(self, features: list[float]) -> int:
        """Rules, scores, their weighted mean, and the policy's action."""
        amount = features[-1]
        if amount > 100_000:
            return 2
        row = np.array([features])
        anomaly = float(-self.forest.score_samples(row)[0])
        boosted = float(self.trees.predict_proba(row)[0, 1])
        scaled = (row - self.center) / self.scale
        with self.torch.no_grad():
            deep = float(self.network(self.torch.as_tensor(scaled, dtype=self.torch.float32))[0, 0])
        rules = 0.98 if amount > 220 else 0.8 if features[9] > 0.5 else 0.0
        risk = 0.4 * boosted + 0.2 * deep + 0.2 * anomaly + 0.2 * rules
        observation = np.append(np.clip(scaled[0], -10, 10), risk).astype(np.float32)
        action, _ = self.policy.predict(observation, deterministic=True)
        return int(action)


def decisions_per_second(client: Any, models: Models, payments: list[Payment]) -> tuple[float, np.ndarray]:
    """Decisions a second, and the features that were served, (n, 15)."""
    served = []
    begun = time.perf_counter()
    for payment in payments:
        features = windows(client, payment)
        models.decide(features)
        served.append(features)
    return len(payments) / (time.perf_counter() - begun), np.array(served)
