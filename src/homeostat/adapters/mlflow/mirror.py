"""Mirrors an app's versions and deployments to an MLflow server: runs, metrics, files, registered versions, aliases.

The server is only written to, and never asked for anything that decides. Each pass compares both sides, and makes up
for what is missing there: a pass that was broken off, or a server that was away, costs nothing but the next pass.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from homeostat.errors import Unavailable, needs
from homeostat.models.lineage import flat
from homeostat.ports.registry import Version

_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true", "MLFLOW_CONFIGURE_LOGGING": "false",
}  # fmt: skip
VERSION, NUMBER, WHOLE, DELETED = "homeostat.version", "homeostat.number", "homeostat.whole", "homeostat.deleted"
MIRRORED_ROLES = ("champion", "challenger")
_FOLDER = "bundle"  # Of a run's artifacts.
_PARAMS = ("fingerprint", "source", "trained_from", "trained_until", "seed", "code", "actor")
_TEXT_MAX = 500  # Characters of a parameter, as the oldest servers take them.
_PAGE = 200


@dataclass(frozen=True, slots=True)
class Mirrored:
    """One pass: how many versions and deletions were made up for, and which aliases were moved."""

    versions: int
    deleted: int
    aliases: tuple[str, ...]

    @property
    def anything(self) -> bool:
        """Whether something was missing."""
        return bool(self.versions or self.deleted or self.aliases)


class MlflowMirror:
    """One app on one server: an experiment and a registered model, both of the app's name."""

    def __init__(self, url: str, app: str) -> None:
        """Nothing is connected yet.

        url : http:// or https://, with user and password before an @ where the server asks for them
        Raises MissingExtra.
        """
        parts = urlsplit(url)
        self.where = f"MLflow at {parts.hostname}{'' if parts.port is None else f':{parts.port}'}"
        self._secrets = [text for text in (parts.username, parts.password) if text]
        self._app = app
        for name, value in _QUIET.items():
            os.environ.setdefault(name, value)
        with needs("mlflow", "a mirror in MLflow"):
            from mlflow import MlflowClient
            from mlflow.exceptions import MlflowException
        logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # The last attempt's error says the same.
        self._failures = (MlflowException, OSError)
        self._client: Any = MlflowClient(tracking_uri=url, registry_uri=url)

    def catch_up(
        self, versions: list[Version], roles: Mapping[str, list[str]], fetch: Callable[[str], Path]
    ) -> Mirrored:
        """Bring the server to where the registry is. Raises Unavailable, and what `fetch` raises.

        versions : all of them, oldest first
        roles : version -> its roles now
        fetch : a version -> a folder with its files
        """
        with self._failing():
            experiment = self._experiment()
            there = self._there()
            made = gone = 0
            for one in versions:
                if one.deleted_ns is None and one.version not in there:
                    there[one.version] = self._make(one, experiment, fetch)
                    made += 1
                elif one.deleted_ns is not None and one.version in there and not there[one.version].tags.get(DELETED):
                    self._client.set_model_version_tag(
                        self._app, there[one.version].version, DELETED, _cut(f"{one.deleted_by}: {one.deleted_why}")
                    )
                    gone += 1
            return Mirrored(made, gone, tuple(self._move_aliases(there, roles)))

    def _experiment(self) -> str:
        found = self._client.get_experiment_by_name(self._app)
        return str(self._client.create_experiment(self._app) if found is None else found.experiment_id)

    def _there(self) -> dict[str, Any]:
        """The registered versions that are ours, by the name that the registry gives them."""
        wanted = f"name = '{self._app}'"
        if not self._client.search_registered_models(filter_string=wanted, max_results=1):
            self._client.create_registered_model(self._app, tags={"homeostat.app": self._app})
            return {}
        found: dict[str, Any] = {}
        token = None
        while True:
            page = self._client.search_model_versions(wanted, max_results=_PAGE, page_token=token)
            found |= {one.tags[VERSION]: one for one in page if VERSION in one.tags}
            token = page.token
            if not token:
                return found

    def _make(self, one: Version, experiment: str, fetch: Callable[[str], Path]) -> Any:
        run = self._run(one, experiment, fetch)
        tags = {VERSION: one.version, NUMBER: str(one.number)}
        return self._client.create_model_version(
            self._app,
            f"runs:/{run}/{_FOLDER}",
            run_id=run,
            tags=tags,
            description=_cut(one.lineage.reason) or None,
            await_creation_for=0,
        )

    def _run(self, one: Version, experiment: str, fetch: Callable[[str], Path]) -> str:
        """The run of a version, whole; what an earlier pass began is gone on with."""
        from mlflow.entities import Metric, Param, RunTag

        found = self._client.search_runs([experiment], f"tags.`{VERSION}` = '{one.version}'", max_results=1)
        at_ms = one.created_ns // 1_000_000
        if found and found[0].data.tags.get(WHOLE):
            return str(found[0].info.run_id)
        tags = {VERSION: one.version, NUMBER: str(one.number)}
        run = found[0] if found else self._client.create_run(
            experiment, start_time=at_ms, tags=tags, run_name=f"{self._app} {one.number}"
        )  # fmt: skip
        facts = one.lineage.as_json()
        params = [Param(name, _cut(str(facts[name]))) for name in _PARAMS if facts[name] not in ("", None)]
        metrics = [Metric(name, value, at_ms, 0) for name, value in _numbers(one.lineage.metrics)]
        parents = [RunTag("homeostat.parents", _cut(" ".join(one.lineage.parents)))] if one.lineage.parents else []
        identity = run.info.run_id
        self._client.log_batch(identity, metrics=metrics, params=params, tags=parents)
        self._client.log_artifacts(identity, str(fetch(one.version)), _FOLDER)
        self._client.set_tag(identity, WHOLE, "yes")
        self._client.set_terminated(identity, end_time=at_ms)
        return str(identity)

    def _move_aliases(self, there: Mapping[str, Any], roles: Mapping[str, list[str]]) -> Iterator[str]:
        """Let each alias name what has its role; yields those that did not."""
        now = self._client.get_registered_model(self._app).aliases
        for role in MIRRORED_ROLES:
            holder = next((there[version] for version, has in roles.items() if role in has and version in there), None)
            is_at = now.get(role)
            if holder is not None and str(is_at) != str(holder.version):
                self._client.set_registered_model_alias(self._app, role, str(holder.version))
                yield role
            elif holder is None and is_at is not None:
                self._client.delete_registered_model_alias(self._app, role)
                yield role

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except self._failures as error:
            said = str(error).splitlines()[0] if str(error) else type(error).__name__
            for secret in self._secrets:
                said = said.replace(secret, "***")
            raise Unavailable(f"{self.where} failed: {said[:300]}") from None


def _numbers(metrics: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The metrics that are finite numbers, by names that MLflow takes."""
    for name, value in flat(metrics).items():
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            yield "".join(letter if letter.isalnum() or letter in "_-./ " else "_" for letter in name), float(value)


def _cut(text: str) -> str:
    return text[:_TEXT_MAX]
