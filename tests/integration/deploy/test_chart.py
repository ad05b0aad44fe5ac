"""The Helm chart: what it renders is valid, secure and rolls out without a gap, and its schema refuses the rest."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared import VERSION, settings
from tests.support.helm import CHART, Manifest, helm, rendered, validated

# Each rendering starts Helm.
pytestmark = pytest.mark.long

CI_VALUES = sorted((CHART / "ci").glob("*-values.yaml"))
EVERYTHING = CHART / "ci/everything-values.yaml"
COMPONENTS = {"api", "worker", "listener"}
MONITORING = CHART.parent / "monitoring"
# Kinds of operators, whose schemas are not Kubernetes' own; the tests below look into each of them.
OPERATORS = {"HTTPRoute", "PrometheusRule", "ScaledObject", "ServiceMonitor"}
SECRETS = {
    "PRICING_DATABASE_URL": "postgresql://pricing:secret@postgres:5432/pricing",
    "PRICING_ADMIN_KEY": "fedcba9876543210fedcba9876543210",
    "PRICING_REDIS_URL": "redis://:secret@redis:6379/0",
}
MIGRATED = ["python", "-m", "shared.commands", "migrate"]


@pytest.fixture(scope="module", params=CI_VALUES, ids=lambda path: path.stem)
def manifests(request: pytest.FixtureRequest) -> list[Manifest]:
    return rendered(request.param)


@pytest.fixture(scope="module")
def everything() -> list[Manifest]:
    return rendered(EVERYTHING)


def of_kind(manifests: list[Manifest], kind: str) -> dict[str, Manifest]:
    """The manifests of a kind by their component."""
    found = [manifest for manifest in manifests if manifest["kind"] == kind]
    return {manifest["metadata"]["labels"]["app.kubernetes.io/component"]: manifest for manifest in found}


def pods(manifests: list[Manifest]) -> Iterator[dict[str, Any]]:
    """The specification of each pod, of the test and of the migration too."""
    for manifest in manifests:
        if manifest["kind"] in ("Deployment", "Job"):
            yield manifest["spec"]["template"]["spec"]
        elif manifest["kind"] == "Pod":
            yield manifest["spec"]


def containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return [*pod.get("initContainers", []), *pod["containers"]]


def refused(*options: str) -> str:
    """Why the schema refuses these values."""
    done = helm("template", "shop", str(CHART), "--set", "existingSecret=pricing-engine", *options)
    assert done.returncode != 0
    return done.stderr


@pytest.mark.parametrize("values", CI_VALUES, ids=lambda path: path.stem)
def test_the_chart_passes_helm_lint(values: Path) -> None:
    done = helm("lint", "--strict", str(CHART), "-f", str(values))
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_chart_renders_what_kubernetes_schemas_allow(manifests: list[Manifest], tmp_path: Path) -> None:
    known = [manifest for manifest in manifests if manifest["kind"] not in OPERATORS]
    assert validated(known, tmp_path) == []


def test_every_pod_of_the_chart_keeps_to_pod_security_restricted(manifests: list[Manifest]) -> None:
    found = list(pods(manifests))
    assert len(found) >= len(COMPONENTS)
    for pod in found:
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC", "hostUsers"} & pod.keys()
        assert [set(volume) for volume in pod["volumes"]] == [{"name", "emptyDir"}]
        for container in containers(pod):
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["readOnlyRootFilesystem"] is True
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"]
            assert {port.get("hostPort") for port in container.get("ports", [])} <= {None}


def test_the_charts_deployments_roll_out_without_a_gap(manifests: list[Manifest]) -> None:
    deployments = of_kind(manifests, "Deployment")
    assert deployments.keys() == COMPONENTS
    for component, deployment in deployments.items():
        spec, pod = deployment["spec"], deployment["spec"]["template"]["spec"]
        assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
        [container] = pod["containers"]
        env = {variable["name"]: variable.get("value") for variable in container["env"]}
        assert pod["terminationGracePeriodSeconds"] == int(env["PRICING_DRAIN_TIMEOUT_S"]) + 15
        assert {spread["topologyKey"] for spread in pod["topologySpreadConstraints"]} == {
            "kubernetes.io/hostname",
            "topology.kubernetes.io/zone",
        }
        paths = {
            name: container[name]["httpGet"]["path"] for name in ("startupProbe", "livenessProbe", "readinessProbe")
        }
        assert paths == {
            "startupProbe": "/health/live",
            "livenessProbe": "/health/live",
            "readinessProbe": "/health/ready",
        }
        assert ("lifecycle" in container) == (component == "api")
        # A version or a value that changes must not change the selector: Kubernetes refuses that.
        assert spec["selector"]["matchLabels"].keys() == {
            f"app.kubernetes.io/{name}" for name in ("name", "instance", "component")
        }


def test_every_process_of_the_chart_starts_with_settings_that_the_engine_accepts(manifests: list[Manifest]) -> None:
    for pod in pods(manifests):
        for container in containers(pod):
            env = {}
            for variable in container.get("env", []):
                if reference := variable.get("valueFrom", {}).get("secretKeyRef"):
                    assert reference["name"] == "pricing-engine"
                    assert reference["key"] == variable["name"]
                    assert reference["optional"] == (variable["name"] not in SECRETS)
                    if variable["name"] in SECRETS:
                        env[variable["name"]] = SECRETS[variable["name"]]
                else:
                    env[variable["name"]] = variable["value"]
            settings.load({"PRICING_HOME": "/nonexistent", **env})
            # No other process has the admin key.
            assert ("PRICING_ADMIN_KEY" in env) == (container["command"] == MIGRATED)
            assert not [text for text in SECRETS.values() if text in str(container)]


def test_the_charts_migration_is_a_hook_or_in_each_pod_or_by_hand() -> None:
    def migrations(*options: str) -> tuple[int, int]:
        found = rendered(None, *options)
        in_pods = [
            pod
            for pod in pods(found)
            for container in pod.get("initContainers", [])
            if container["command"] == MIGRATED
        ]
        return len(of_kind(found, "Job")), len(in_pods)

    assert migrations() == (1, 0)
    assert migrations("--set", "migration.mode=init") == (0, 3)
    assert migrations("--set", "migration.mode=manual") == (0, 0)
    [job] = of_kind(rendered(), "Job").values()
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"


def test_the_chart_names_the_image_by_its_digest(everything: list[Manifest]) -> None:
    images = {container["image"] for pod in pods(everything) for container in containers(pod)}
    digest = yaml.safe_load(EVERYTHING.read_text())["image"]["digest"]
    assert images == {f"registry.example.com/shop/pricing-engine@{digest}"}


def test_the_charts_autoscalers_own_the_number_of_replicas(everything: list[Manifest]) -> None:
    deployments = of_kind(everything, "Deployment")
    assert {component for component, found in deployments.items() if "replicas" in found["spec"]} == {"listener"}
    [hpa] = of_kind(everything, "HorizontalPodAutoscaler").values()
    assert hpa["spec"]["scaleTargetRef"]["name"] == deployments["api"]["metadata"]["name"]
    [keda] = of_kind(everything, "ScaledObject").values()
    assert keda["spec"]["scaleTargetRef"]["name"] == deployments["worker"]["metadata"]["name"]
    queries = " ".join(trigger["metadata"]["query"] for trigger in keda["spec"]["triggers"])
    assert 'pricing_queue_depth{namespace="prices"}' in queries
    assert 'pricing_queue_oldest_age_seconds{namespace="prices"}' in queries


def test_every_service_and_policy_of_the_chart_finds_its_pods(everything: list[Manifest]) -> None:
    deployments = of_kind(everything, "Deployment")
    for component, service in of_kind(everything, "Service").items():
        labels = deployments[component]["spec"]["template"]["metadata"]["labels"]
        [container] = deployments[component]["spec"]["template"]["spec"]["containers"]
        assert service["spec"]["selector"].items() <= labels.items()
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= {
            port["name"] for port in container["ports"]
        }
    for kind in ("NetworkPolicy", "PodDisruptionBudget"):
        found = of_kind(everything, kind)
        assert found.keys() >= COMPONENTS
        for component in COMPONENTS:
            selector = found[component]["spec"].get("podSelector") or found[component]["spec"]["selector"]
            labels = deployments[component]["spec"]["template"]["metadata"]["labels"]
            assert selector["matchLabels"].items() <= labels.items()


def test_the_chart_brings_the_alerts_and_dashboards_of_the_repository(everything: list[Manifest]) -> None:
    [rule] = of_kind(everything, "PrometheusRule").values()
    assert rule["spec"] == yaml.safe_load((MONITORING / "alerts.yml").read_text())
    boards = {
        name: text
        for manifest in everything
        if manifest["kind"] == "ConfigMap"
        for name, text in manifest["data"].items()
    }
    assert boards == {f"pricing-{path.name}": path.read_text() for path in (MONITORING / "dashboards").glob("*.json")}
    [monitor] = of_kind(everything, "ServiceMonitor").values()
    # The alerts name the jobs api, worker and listener.
    assert monitor["spec"]["jobLabel"] == "app.kubernetes.io/component"
    ports = {port["name"] for service in of_kind(everything, "Service").values() for port in service["spec"]["ports"]}
    assert {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]} == ports


def test_the_charts_routes_lead_to_the_api(everything: list[Manifest]) -> None:
    service = of_kind(everything, "Service")["api"]["metadata"]["name"]
    [ingress], [route] = of_kind(everything, "Ingress").values(), of_kind(everything, "HTTPRoute").values()
    [path] = ingress["spec"]["rules"][0]["http"]["paths"]
    assert path["backend"]["service"]["name"] == service
    assert route["spec"]["rules"][0]["backendRefs"] == [{"name": service, "port": 80}]


def test_the_charts_release_is_the_engines() -> None:
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"] == VERSION


@pytest.mark.parametrize(
    ("option", "path"),
    [
        ("existingSecret=", "/existingSecret"),
        ("image.digest=sha256:short", "/image/digest"),
        ("image.repo=x", "/image"),
        ("api.replicas=0", "/api/replicas"),
        ("worker.threads=many", "/worker/threads"),
        ("migration.mode=never", "/migration/mode"),
        ("settings.PRICING_DATABASE_URL=postgresql://secret", "/settings/PRICING_DATABASE_URL"),
        ("settings.PRICING_ADMIN_KEY=secret", "/settings/PRICING_ADMIN_KEY"),
        ("settings.cache_ttl=5", "/settings"),
        ("worker.keda.enabled=true", "/worker/keda/prometheus"),
        ("ingress.enabled=true", "/ingress/hosts"),
        ("httpRoute.enabled=true", "/httpRoute/parentRefs"),
        ("preStopSeconds=20", "/preStopSeconds"),
        ("api.resources.limits.memory=plenty", "/api/resources/limits/memory"),
        ("networkPolicy.egressPorts={99999}", "/networkPolicy/egressPorts/0"),
        ("replicas=3", ""),
    ],
)
def test_the_charts_schema_refuses_a_wrong_value_with_its_path(option: str, path: str) -> None:
    assert f"at '{path}" in refused("--set", option)
