"""Clients that are generated from the document: their types hold, and they make the README's calls."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.engine import Engine
from tests.support.prerequisites import need

# Generators and compilers of the test's own, from their registries: two minutes.
pytestmark = pytest.mark.long

PAGE = (Path(__file__).parents[2] / "docs" / "clients.md").read_text()
PYTHON_PACKAGES = ("openapi-python-client==0.29.*", "mypy>=2")
NODE_PACKAGES = ("openapi-typescript@7", "openapi-fetch@0", "typescript@5", "@types/node@20")


def run(*command: object, cwd: Path, **environ: str) -> str:
    """What a program prints; its failure is the test's."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd, env=os.environ | environ, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def block(language: str, beginning: str) -> str:
    """The code block of the page that begins so."""
    found: list[str] = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    return next(text for text in found if beginning in text)


def test_a_python_client_is_generated_typed_and_used(engine: Engine, tmp_path: Path) -> None:
    run(sys.executable, "-m", "venv", "venv", cwd=tmp_path)
    programs = {"PATH": f"{tmp_path / 'venv/bin'}:{os.environ['PATH']}"}
    run("venv/bin/pip", "install", "-q", *PYTHON_PACKAGES, cwd=tmp_path)
    install, _, generate = block("console", "openapi-python-client").partition("\n")
    assert install == "pip install openapi-python-client"
    generate = generate.replace("http://localhost:8000", str(engine.http.base_url).rstrip("/"))
    (tmp_path / "config.yml").write_text("post_hooks: []\n")  # its formatter is not there
    generate = generate.replace("--meta", "--fail-on-warning --config config.yml --meta")
    run("bash", "-ec", generate, cwd=tmp_path, **programs)
    (tmp_path / "calls.py").write_text(block("python", "AuthenticatedClient"))
    run("venv/bin/mypy", "pricing", "calls.py", cwd=tmp_path)
    models = {path.name: path.read_text() for path in (tmp_path / "pricing" / "models").glob("*.py")}
    # A field without a type; fields that a later version adds are any JSON.
    assert [
        name
        for name, text in models.items()
        if re.search(r"^    (?!additional_properties)\w+: (.*\| )?Any\b", text, re.M)
    ] == []
    check(run("venv/bin/python", "calls.py", engine.http.base_url, engine.key, cwd=tmp_path))


def test_a_typescript_client_is_generated_typed_and_used(engine: Engine, tmp_path: Path) -> None:
    need("npm", shutil.which("npm"), "apt install nodejs npm")
    (tmp_path / "package.json").write_text('{"private": true, "type": "module"}')
    run("npm", "install", "--silent", "--no-audit", "--no-fund", *NODE_PACKAGES, cwd=tmp_path)
    install, generate = block("console", "openapi-typescript").splitlines()
    assert install.startswith("npm install")
    run("bash", "-ec", generate.replace("http://localhost:8000", str(engine.http.base_url).rstrip("/")), cwd=tmp_path)
    (tmp_path / "calls.ts").write_text(block("ts", "createClient"))
    options = ("--strict", "--module", "nodenext", "--target", "es2022", "--lib", "es2022,dom", "--types", "node")
    bodies = re.sub(
        r"\[name: string\]: unknown;|/\*\*.*?\*/", "", (tmp_path / "pricing.ts").read_text(), flags=re.DOTALL
    )
    assert re.findall(r".*(?<!\")\bunknown\b.*", bodies) == []  # headers, and what comments say, are left out
    run("npx", "tsc", *options, "--skipLibCheck", "calls.ts", cwd=tmp_path)
    check(run("node", "calls.js", engine.http.base_url, engine.key, cwd=tmp_path))


def check(printed: str) -> None:
    """What both programs print of the answers to the README's calls."""
    answers = json.loads(printed)
    assert answers["product_id"] == "P-100"
    assert answers["market"] == "NY"
    assert answers["rules"]
    assert answers["event"] in {"published", "stored", "duplicate"}
    assert answers["payable"]
