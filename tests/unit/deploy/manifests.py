"""Reads the manifests as kustomize would, as far as ours need it: resources, components, merged patches, images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

Manifest = dict[str, Any]

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "deploy" / "k8s"
OVERLAYS = sorted((FOLDER / "overlays").iterdir())


def documents(path: Path) -> list[Manifest]:
    """Return the documents of a file."""
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def kustomization(folder: Path) -> Manifest:
    """Return a folder's kustomization."""
    [content] = documents(folder / "kustomization.yaml")
    return content


def referenced(folder: Path) -> Iterator[Path]:
    """Yield what a folder's kustomization refers to."""
    content = kustomization(folder)
    for name in [*content.get("resources", ()), *content.get("components", ())]:
        yield (folder / name).resolve()
    for patch in content.get("patches", ()):
        yield (folder / patch["path"]).resolve()


def render(folder: Path) -> list[Manifest]:
    """Return the manifests that a folder stands for."""
    return _with_folder(folder, [])


def _with_folder(folder: Path, manifests: list[Manifest]) -> list[Manifest]:
    """Return the manifests with a folder's own beside them, and its patches applied to all; so a component works."""
    content = kustomization(folder)
    for name in content.get("resources", ()):
        path = folder / name
        manifests = [*manifests, *(render(path) if path.is_dir() else documents(path))]
    for name in content.get("components", ()):
        manifests = _with_folder(folder / name, manifests)
    for patch in content.get("patches", ()):
        for change in documents(folder / patch["path"]):
            manifests = _patched(manifests, change)
    for image in content.get("images", ()):
        _set_image(manifests, image["name"], f"{image['newName']}:{image['newTag']}")
    return manifests


def key_of(manifest: Manifest) -> tuple[str, str]:
    """Return a manifest's kind and name."""
    return manifest["kind"], manifest["metadata"]["name"]


def _patched(manifests: list[Manifest], change: Manifest) -> list[Manifest]:
    if key_of(change) not in map(key_of, manifests):
        raise ValueError(f"a patch is for {key_of(change)}, which is not there")
    return [_merged(each, change) if key_of(each) == key_of(change) else each for each in manifests]


def _merged(base: Any, change: Any) -> Any:
    if isinstance(base, dict) and isinstance(change, dict):
        return base | {key: _merged(base.get(key), value) for key, value in change.items()}
    if isinstance(base, list) and isinstance(change, list) and all("name" in item for item in [*base, *change]):
        by_name = {item["name"]: item for item in base}
        return list((by_name | {item["name"]: _merged(by_name.get(item["name"]), item) for item in change}).values())
    return change


def _set_image(manifests: list[Manifest], name: str, image: str) -> None:
    for manifest in manifests:
        for container in containers(manifest):
            if container["image"] == name:
                container["image"] = image


def pod(manifest: Manifest) -> Manifest:
    """Return the pod that a manifest runs; empty for one that runs none."""
    found: Manifest = manifest.get("spec", {}).get("template", {}).get("spec", {})
    return found


def containers(manifest: Manifest) -> list[Manifest]:
    """Return the containers that a manifest runs."""
    found: list[Manifest] = pod(manifest).get("containers", [])
    return found
