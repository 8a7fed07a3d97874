"""The part of an MLflow server that the mirror asks for, in memory: a stand-in where the real one is too large.

`tests/adapters/test_mlflow_mirror.py` holds its answers against those that were recorded from a real server.
"""

from __future__ import annotations

import itertools
import json
import re
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.mlflow_exchange import Asked, serving

Members = dict[str, Any]
Answer = tuple[int, Members]
_API, _FILES = "/api/2.0/mlflow/", "/api/2.0/mlflow-artifacts/artifacts/"


class StandIn:
    """Experiments, runs with their figures and files, and registered models with versions and aliases.

    identity : makes the id of a run; files : path -> how many bytes are there
    """

    def __init__(self, identity: Callable[[], str] = lambda: uuid.uuid4().hex) -> None:
        self._identity, self._clock = identity, itertools.count(1_800_000_000_000)
        self.experiments, self.runs, self.models = (dict[str, Members]() for _ in range(3))
        self.files: dict[str, int] = {}

    def answer(self, method: str, path: str, query: Members, body: Any, size: int = 0) -> Answer:
        """The status and the members of the answer to a request, whose body has `size` bytes."""
        if path.startswith(_FILES) and method == "PUT":
            self.files[path.removeprefix(_FILES)] = size
            return 200, {}
        if path == _FILES.rstrip("/") and method == "GET":
            return self._listed(query["path"] + "/")
        asked = {**query, **(body or {})}
        name = f"_{method}_{path.removeprefix(_API)}".replace("/", "_").replace("-", "_").lower()
        found = getattr(self, name, None)
        return (404, {"error_code": "ENDPOINT_NOT_FOUND"}) if found is None else found(asked)

    def _listed(self, folder: str) -> Answer:
        there = sorted(
            (path.removeprefix(folder), size) for path, size in self.files.items() if path.startswith(folder)
        )
        return 200, {"files": [{"path": path, "is_dir": False, "file_size": size} for path, size in there]}

    # Experiments and runs.

    def _get_experiments_get_by_name(self, asked: Members) -> Answer:
        name = asked["experiment_name"]
        if name not in self.experiments:
            return 404, {
                "error_code": "RESOURCE_DOES_NOT_EXIST", "message": f"Could not find experiment with name '{name}'",
                "sqlstate": "KAM00", "error_class": "RESOURCE_NOT_FOUND",
            }  # fmt: skip
        return 200, {"experiment": self.experiments[name]}

    def _post_experiments_create(self, asked: Members) -> Answer:
        number, now = str(len(self.experiments) + 1), next(self._clock)
        self.experiments[asked["name"]] = {
            "experiment_id": number, "name": asked["name"], "artifact_location": f"mlflow-artifacts:/{number}",
            "lifecycle_stage": "active", "last_update_time": now, "creation_time": now, "workspace": "default",
        }  # fmt: skip
        return 200, {"experiment_id": number}

    def _post_runs_search(self, asked: Members) -> Answer:
        found = re.fullmatch(r"tags\.`(.+)` = '(.+)'", asked["filter"])
        assert found is not None, asked
        wanted = {"key": found[1], "value": found[2]}
        runs = [one for one in self.runs.values() if wanted in one["data"]["tags"]]
        return 200, {"runs": runs} if runs else {}

    def _post_runs_create(self, asked: Members) -> Answer:
        run, experiment, name = self._identity(), asked["experiment_id"], asked["run_name"]
        info = {
            "run_uuid": run, "experiment_id": experiment, "run_name": name, "user_id": asked["user_id"],
            "status": "RUNNING", "start_time": asked["start_time"], "lifecycle_stage": "active", "run_id": run,
            "artifact_uri": f"mlflow-artifacts:/{experiment}/{run}/artifacts",
        }  # fmt: skip
        tags = [*asked["tags"], {"key": "mlflow.runName", "value": name}]
        self.runs[run] = {"info": info, "data": {"tags": tags}, "inputs": {}}
        answer = json.loads(json.dumps(self.runs[run]))
        self.runs[run]["outputs"] = {}
        return 200, {"run": answer}

    def _post_runs_log_batch(self, asked: Members) -> Answer:
        data = self.runs[asked["run_id"]]["data"]
        for kind in ("metrics", "params", "tags"):
            if asked.get(kind):
                data[kind] = data.get(kind, []) + asked[kind]
        return 200, {}

    def _get_runs_get(self, asked: Members) -> Answer:
        return 200, {"run": self.runs[asked["run_id"]]}

    def _post_runs_set_tag(self, asked: Members) -> Answer:
        self.runs[asked["run_id"]]["data"]["tags"].append({"key": asked["key"], "value": asked["value"]})
        return 200, {}

    def _post_logged_models_search(self, asked: Members) -> Answer:
        return 200, {}  # Of runs that were made by other means.

    def _post_runs_update(self, asked: Members) -> Answer:
        info = self.runs[asked["run_id"]]["info"]
        info |= {name: asked[name] for name in ("status", "end_time")}
        return 200, {"run_info": info}

    # Registered models.

    def _shown(self, name: str) -> Members:
        model = self.models[name]
        newest = {"latest_versions": model["versions"][-1:]} if model["versions"] else {}
        aliases = [{"alias": alias, "version": version} for alias, version in sorted(model["aliases"].items())]
        return {**model["facts"], **newest, **({"aliases": aliases} if aliases else {})}

    def _get_registered_models_search(self, asked: Members) -> Answer:
        found = re.match(r"name = '([^']+)'", asked["filter"])
        assert found is not None, asked
        return 200, {"registered_models": [self._shown(found[1])]} if found[1] in self.models else {}

    def _post_registered_models_create(self, asked: Members) -> Answer:
        now = next(self._clock)
        facts = {"creation_timestamp": now, "last_updated_timestamp": now, **asked}
        self.models[asked["name"]] = {"facts": facts, "versions": [], "aliases": {}}
        return 200, {"registered_model": facts}

    def _get_registered_models_get(self, asked: Members) -> Answer:
        return 200, {"registered_model": self._shown(asked["name"])}

    def _post_registered_models_alias(self, asked: Members) -> Answer:
        self.models[asked["name"]]["aliases"][asked["alias"]] = asked["version"]
        return 200, {}

    def _delete_registered_models_alias(self, asked: Members) -> Answer:
        del self.models[asked["name"]]["aliases"][asked["alias"]]
        return 200, {}

    def _post_model_versions_create(self, asked: Members) -> Answer:
        versions, now = self.models[asked["name"]]["versions"], next(self._clock)
        made = {
            "version": str(len(versions) + 1), "creation_timestamp": now, "last_updated_timestamp": now,
            "current_stage": "None", "status": "READY", "run_link": "", **asked,
        }  # fmt: skip
        versions.append(made)
        return 200, {"model_version": made}

    def _get_model_versions_search(self, asked: Members) -> Answer:
        found = re.fullmatch(r"name = '(.+)'", asked["filter"])
        assert found is not None, asked
        versions = self.models[found[1]]["versions"][::-1]
        return 200, {"model_versions": versions} if versions else {}

    def _post_model_versions_set_tag(self, asked: Members) -> Answer:
        (one,) = (it for it in self.models[asked["name"]]["versions"] if it["version"] == asked["version"])
        one["tags"] = [*one["tags"], {"key": asked["key"], "value": asked["value"]}]
        return 200, {}


@contextmanager
def standing_in() -> Iterator[str]:
    """The address of a stand-in while the block runs."""
    kept, lock = StandIn(), threading.Lock()

    class Answering(Asked):
        def answer(self) -> None:
            asked, sent = self.asked()
            method, path, query, body = json.loads(asked)
            with lock:
                status, members = kept.answer(method, path, dict(query), body, len(sent))
                text = json.dumps(members).encode()
            self.reply(status, text)

    with serving(Answering) as url:
        yield url
