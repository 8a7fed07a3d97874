"""The Kubernetes base, held against the API's schema and against what it promises."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from homeostat.config.beside import ShadowOptions
from homeostat.config.load import load_app
from homeostat.config.servers import read_servers

VERSIONS = ("1.31", "1.33")
OWN_MB = 600  # Of a process that remembers nothing: code, models, and a batch on its way.


KINDS = ("StatefulSet", "Deployment")


@pytest.fixture(scope="module")
def folder(deploy: Path) -> Path:
    return deploy / "kubernetes"


@pytest.fixture(scope="module")
def kustomization(folder: Path) -> dict[str, Any]:
    return yaml.safe_load((folder / "kustomization.yaml").read_text("utf-8"))


@pytest.fixture(scope="module")
def objects(folder: Path, kustomization: dict[str, Any]) -> list[dict[str, Any]]:
    found = [list(yaml.safe_load_all((folder / name).read_text("utf-8"))) for name in kustomization["resources"]]
    return [each for group in found for each in group]


@pytest.fixture(scope="module")
def pods(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The pods' specifications, by name."""
    return {each["metadata"]["name"]: each["spec"]["template"] for each in objects if each["kind"] in KINDS}


@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_is_one_that_kubernetes_takes(objects: list[dict[str, Any]], version: str) -> None:
    for each in objects:
        kubernetes_validate.validate(each, version, strict=True)


@pytest.mark.long
def test_kustomize_builds_it(folder: Path) -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed; the objects are checked one by one all the same")
    done = subprocess.run([kubectl, "kustomize", str(folder)], capture_output=True, text=True, check=True)
    built = list(yaml.safe_load_all(done.stdout))
    for each in built:
        kubernetes_validate.validate(each, VERSIONS[-1], strict=True)
        assert each["kind"] == "Namespace" or each["metadata"]["namespace"] == "homeostat"
    (config,) = [each for each in built if each["kind"] == "ConfigMap"]
    assert set(config["data"]) == {"app.yaml", "servers.yaml"}
    worker = next(each for each in built if each["kind"] == "StatefulSet")
    named = [volume for volume in worker["spec"]["template"]["spec"]["volumes"] if "configMap" in volume]
    assert named[0]["configMap"]["name"] == config["metadata"]["name"]  # With the hash, so that a change rolls out.


def test_every_file_is_part_of_it(folder: Path, kustomization: dict[str, Any]) -> None:
    files = [*kustomization["resources"], *kustomization["configMapGenerator"][0]["files"]]
    assert {path.name for path in folder.iterdir()} == {*files, "kustomization.yaml", "prometheus-adapter.yaml"}


def test_pods_meet_the_restricted_standard(pods: dict[str, dict[str, Any]], objects: list[dict[str, Any]]) -> None:
    """Pod Security Standards, level restricted, and a root that can't be written to."""
    assert set(pods) == {"worker", "server", "maintain"}
    for template in pods.values():
        spec = template["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True and spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
        allowed = {"configMap", "emptyDir", "secret", "persistentVolumeClaim"}
        assert all(set(volume) - {"name"} <= allowed for volume in spec["volumes"])
        for container in spec["containers"]:
            own = container["securityContext"]
            assert own["allowPrivilegeEscalation"] is False and own["privileged"] is False
            assert own["readOnlyRootFilesystem"] is True and own["capabilities"] == {"drop": ["ALL"]}
    (namespace,) = [each for each in objects if each["kind"] == "Namespace"]
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    (account,) = [each for each in objects if each["kind"] == "ServiceAccount"]
    assert account["automountServiceAccountToken"] is False


def test_pods_have_probes_and_limits_and_time_to_drain(pods: dict[str, dict[str, Any]]) -> None:
    for template in pods.values():
        (container,) = template["spec"]["containers"]
        ports = {port["name"] for port in container["ports"]}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            assert container[probe]["httpGet"]["port"] in ports
        for kind in ("requests", "limits"):
            assert {"cpu", "memory"} <= container["resources"][kind].keys()
        assert template["spec"]["terminationGracePeriodSeconds"] >= 30
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in template["spec"]["volumes"]} | {"data"}


def test_what_is_remembered_of_the_feature_store_fits_the_limit(folder: Path, pods: dict[str, dict[str, Any]]) -> None:
    remembered = read_servers(folder / "servers.yaml", {}).memory_mb
    for template in pods.values():
        (container,) = template["spec"]["containers"]
        limit = container["resources"]["limits"]["memory"]
        assert limit.endswith("Mi")
        assert remembered + OWN_MB + ShadowOptions().memory_mb <= int(limit.removesuffix("Mi"))


def test_what_runs_by_night_is_suspended_alone_and_as_closed_as_the_rest(
    objects: list[dict[str, Any]], pods: dict[str, dict[str, Any]]
) -> None:
    nightly = {each["metadata"]["name"]: each["spec"] for each in objects if each["kind"] == "CronJob"}
    (claim,) = [each["metadata"]["name"] for each in objects if each["kind"] == "PersistentVolumeClaim"]
    assert set(nightly) == {"export", "train", "report-autonomy", "report-fairness"}
    (worker,) = pods["worker"]["spec"]["containers"]
    for spec in nightly.values():
        assert spec["suspend"] is True and spec["concurrencyPolicy"] == "Forbid"
        assert spec["jobTemplate"]["spec"]["backoffLimit"] == 1 and spec["jobTemplate"]["spec"]["activeDeadlineSeconds"]
        pod = spec["jobTemplate"]["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        assert pod["securityContext"] == pods["worker"]["spec"]["securityContext"]
        assert container["securityContext"] == worker["securityContext"] and pod["restartPolicy"] == "Never"
        assert pod["automountServiceAccountToken"] is False and {"requests", "limits"} == set(container["resources"])
        assert {"name": "data", "persistentVolumeClaim": {"claimName": claim}} in pod["volumes"]
        assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}


def test_secrets_are_named_and_not_written(objects: list[dict[str, Any]], pods: dict[str, dict[str, Any]]) -> None:
    assert not any(each["kind"] == "Secret" for each in objects)
    for template in pods.values():
        (container,) = template["spec"]["containers"]
        assert {"secretRef": {"name": "homeostat-servers"}} in container["envFrom"]
        assert not any("PASSWORD" in each["name"] for each in container["env"])


def test_everything_is_selected_by_what_it_is_called(objects: list[dict[str, Any]], pods: dict[str, Any]) -> None:
    labels = {name: template["metadata"]["labels"] for name, template in pods.items()}

    def selected(selector: dict[str, str]) -> set[str]:
        return {name for name, own in labels.items() if selector.items() <= own.items()}

    of_kind = lambda kind: {each["metadata"]["name"]: each["spec"] for each in objects if each["kind"] == kind}  # noqa: E731
    for name, spec in of_kind("StatefulSet").items():
        assert selected(spec["selector"]["matchLabels"]) == {name} and spec["serviceName"] in of_kind("Service")
    for name, spec in of_kind("Service").items():
        assert selected(spec["selector"]) == {name.removesuffix("-pods")}
        (container,) = pods[name.removesuffix("-pods")]["spec"]["containers"]
        assert {port["targetPort"] for port in spec["ports"]} <= {port["name"] for port in container["ports"]}
    for kind, reference in (("PodDisruptionBudget", None), ("HorizontalPodAutoscaler", "scaleTargetRef")):
        assert set(of_kind(kind)) == set(pods) - {"maintain"}  # One replica acts: there is nothing to scale.
        for name, spec in of_kind(kind).items():
            assert spec[reference]["name"] == name if reference else selected(spec["selector"]["matchLabels"]) == {name}


def test_nothing_gets_in_or_out_but_what_is_said(objects: list[dict[str, Any]]) -> None:
    policies = {each["metadata"]["name"]: each["spec"] for each in objects if each["kind"] == "NetworkPolicy"}
    closed = policies.pop("nothing-else")
    assert closed == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for spec in policies.values():
        for rule in [*spec.get("ingress", ()), *spec.get("egress", ())]:
            assert rule["ports"] and (rule.get("from") or rule.get("to"))


def test_workers_scale_by_a_lag_that_is_exported(
    folder: Path, objects: list[dict[str, Any]], exported: dict[str, set[str]]
) -> None:
    scalers = {each["metadata"]["name"]: each["spec"] for each in objects if each["kind"] == "HorizontalPodAutoscaler"}
    metric = scalers["worker"]["metrics"][0]["external"]["metric"]
    adapter = yaml.safe_load((folder / "prometheus-adapter.yaml").read_text("utf-8"))["rules"]["external"][0]
    assert metric["name"] == adapter["name"]["as"] == "homeostat_stream_lag_messages"
    assert {"app", "lane"} | metric["selector"]["matchLabels"].keys() <= exported["homeostat_stream_lag_messages"]
    assert adapter["seriesQuery"].startswith("homeostat_stream_lag_messages{")
    servers = read_servers(folder / "servers.yaml", {})
    assert scalers["worker"]["maxReplicas"] == servers.partitions


def test_the_app_is_the_shipped_one_and_the_servers_file_holds_no_password(folder: Path) -> None:
    assert load_app(folder / "app.yaml") == load_app("payments")
    servers = read_servers(folder / "servers.yaml", {})
    assert servers.kafka.password is None and servers.journal is None and servers.features is None
