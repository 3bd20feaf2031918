"""The manifests: sound by Kubernetes' own schema, complete, and hardened. Nothing here needs a cluster."""

from __future__ import annotations

from pathlib import Path

import kubernetes_validate
import pytest

from hanse.cli.roles import Role
from hanse.config import Settings
from tests.unit.deploy.manifests import (
    FOLDER,
    OVERLAYS,
    Manifest,
    containers,
    documents,
    key_of,
    kustomization,
    pod,
    referenced,
    render,
)

VERSION = "1.33"
"""The oldest Kubernetes that the manifests are written for."""
IN_ORDER = {"relay", "react", "work", "federate"}
"""The roles that keep things in order, and so run once."""
PROVIDED = {"HANSE_DATABASE_URL", "HANSE_BROKER_URL"}
"""What the Secret brings."""
KUSTOMIZATIONS = sorted(path.parent for path in FOLDER.rglob("kustomization.yaml"))
FILES = sorted(path for path in FOLDER.rglob("*.yaml") if path.name != "kustomization.yaml")

each_overlay = pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.name)


def running(overlay: Path) -> list[Manifest]:
    return [manifest for manifest in render(overlay) if containers(manifest)]


def deployments(overlay: Path) -> dict[str, Manifest]:
    return {manifest["metadata"]["name"]: manifest for manifest in render(overlay) if manifest["kind"] == "Deployment"}


@each_overlay
def test_every_rendered_manifest_is_valid(overlay: Path) -> None:
    for manifest in render(overlay):
        # A kind without a schema raises too: there is none that the cluster would have to be taught first.
        kubernetes_validate.validate(manifest, VERSION, strict=True)


@pytest.mark.parametrize("folder", KUSTOMIZATIONS, ids=lambda path: path.name)
def test_a_kustomization_refers_to_what_exists(folder: Path) -> None:
    assert kustomization(folder)["kind"] in ("Kustomization", "Component")
    for path in referenced(folder):
        assert (path / "kustomization.yaml").exists() if path.is_dir() else path.exists(), path


def test_no_manifest_is_forgotten() -> None:
    used = {path for folder in KUSTOMIZATIONS for path in referenced(folder)}
    assert [path for path in FILES if path.resolve() not in used] == []


@each_overlay
def test_no_name_is_there_twice(overlay: Path) -> None:
    names = [key_of(manifest) for manifest in render(overlay)]
    assert len(names) == len(set(names))


@each_overlay
def test_every_role_has_a_deployment(overlay: Path) -> None:
    commands = {name: containers(manifest)[0]["command"] for name, manifest in deployments(overlay).items()}
    expected = {role.value: ["hanse", "run", role.value] for role in Role}
    assert commands == expected | {"react": ["python", "-m", "hanse_services.react"]}


@each_overlay
def test_what_keeps_order_runs_once(overlay: Path) -> None:
    for name, manifest in deployments(overlay).items():
        once = (manifest["spec"]["replicas"], manifest["spec"]["strategy"]["type"]) == (1, "Recreate")
        assert once == (name in IN_ORDER), name


@each_overlay
def test_every_setting_is_there_and_known(overlay: Path) -> None:
    [settings] = [each["data"] for each in render(overlay) if each["kind"] == "ConfigMap"]
    known = {f"HANSE_{name.upper()}": field for name, field in Settings.model_fields.items()}
    given = {name for name in settings if name.startswith("HANSE_")} | PROVIDED
    assert given <= known.keys()
    assert {name for name, field in known.items() if field.is_required()} <= given


@each_overlay
def test_only_headquarters_has_a_hub(overlay: Path) -> None:
    [settings] = [each["data"] for each in render(overlay) if each["kind"] == "ConfigMap"]
    is_headquarters = settings["HANSE_UNIT"] == "units/hq"
    assert (("Service", "hub") in map(key_of, render(overlay))) == is_headquarters
    environment = {entry["name"] for entry in containers(deployments(overlay)["federate"])[0].get("env", ())}
    assert ("HANSE_HUB_LISTEN_ADDRESS" in environment) == is_headquarters


@each_overlay
def test_nothing_runs_as_root_or_writes_to_its_image(overlay: Path) -> None:
    for manifest in running(overlay):
        assert pod(manifest)["securityContext"]["runAsNonRoot"] is True
        assert pod(manifest)["automountServiceAccountToken"] is False
        for container in containers(manifest):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }


@each_overlay
def test_every_container_has_bounds_and_a_pinned_image(overlay: Path) -> None:
    for manifest in running(overlay):
        for container in containers(manifest):
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}
            assert "memory" in container["resources"]["limits"]
            assert ":" in container["image"] and not container["image"].endswith(":latest")


@each_overlay
def test_whatever_listens_is_probed_by_its_socket(overlay: Path) -> None:
    for name, manifest in deployments(overlay).items():
        [container] = containers(manifest)
        for port in container.get("ports", ()):
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                assert container[probe]["tcpSocket"] == {"port": port["name"]}, name


@each_overlay
def test_every_selector_selects_a_deployment(overlay: Path) -> None:
    labels = [manifest["spec"]["template"]["metadata"]["labels"].items() for manifest in running(overlay)]
    for manifest in render(overlay):
        spec = manifest.get("spec", {})
        selector = {
            "Service": lambda spec=spec: spec["selector"],
            "PodDisruptionBudget": lambda spec=spec: spec["selector"]["matchLabels"],
            "NetworkPolicy": lambda spec=spec: spec["podSelector"].get("matchLabels", {}),
        }.get(manifest["kind"])
        if selector:
            assert any(selector().items() <= each for each in labels), key_of(manifest)


@each_overlay
def test_only_the_hub_takes_callers_from_anywhere(overlay: Path) -> None:
    open_to_all = {
        manifest["metadata"]["name"]
        for manifest in render(overlay)
        if manifest["kind"] == "NetworkPolicy"
        for rule in manifest["spec"].get("ingress", ())
        if "from" not in rule
    }
    assert open_to_all <= {"hub"}


@each_overlay
def test_all_is_denied_that_is_not_allowed(overlay: Path) -> None:
    [deny] = [each for each in render(overlay) if key_of(each) == ("NetworkPolicy", "deny-all")]
    assert deny["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_the_image_installs_by_hash_and_runs_as_the_same_user() -> None:
    dockerfile = (FOLDER.parent / "Dockerfile").read_text()
    [serve] = documents(FOLDER / "base" / "serve.yaml")
    user = pod(serve)["securityContext"]["runAsUser"]
    assert "--require-hashes" in dockerfile
    assert f"USER {user}:" in dockerfile
