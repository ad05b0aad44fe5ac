"""`just up docker`, where an engine answers and has the images: it really starts."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from deploy.compose import command
from tests.support.deploying import ROOT, copied, deploy, deploying, free_ports
from tests.support.prerequisites import need
from tests.support.waiting import eventually


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Path]:
    """A clone with containers, volumes and passwords of its own, all gone afterwards."""
    need("docker", command.engine_answers(), "start its engine")
    folder = copied(tmp_path)
    yield folder
    _in(folder, "command.run('down', '--volumes', '--rmi', 'local')", COMPOSE_PROFILES="gateway,monitoring")


def _has(*images: str) -> bool:
    """Whether the engine has these images of compose.yaml, of whatever version."""
    names = [line.split()[1] for line in (ROOT / "compose.yaml").read_text().splitlines() if " image: " in line]
    wanted = [name for name in names if name.partition(":")[0] in images]
    return all(
        subprocess.run(["docker", "image", "inspect", name], capture_output=True, check=False).returncode == 0
        for name in wanted
    )


def _deploy_all(clone: Path, environ: Mapping[str, object], *commands: tuple[str, ...]) -> None:
    for arguments in commands:
        done = deploy(*arguments, cwd=clone, **environ)
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"


def _in(clone: Path, code: str, **environ: str) -> str:
    """What Python code prints there; `command` is at hand."""
    program = f"from deploy.compose import command; {code}"
    return subprocess.run(
        [sys.executable, "-c", program], cwd=clone, env=os.environ | environ, check=True, capture_output=True, text=True
    ).stdout


def test_the_stack_starts_in_containers_keeps_its_data_and_goes(clone: Path) -> None:
    ports = free_ports()
    environ = {"PRICING_HOME": clone / ".pricing", **ports}
    competitor = {"product_id": "T-1", "competitor": "acme", "price": "95.00", "currency": "USD"}
    kettle = {"product_id": "T-1", "name": "Kettle", "currency": "USD", "base_price": "100.00", "strategy": "match"}
    with httpx.Client(base_url=f"http://127.0.0.1:{ports['PRICING_PORT']}", timeout=30, trust_env=False) as http:

        def price(product_id: str = "T-1") -> dict[str, Any]:
            body = {"product_id": product_id, "user_location": "CHI"}
            return cast(dict[str, Any], http.post("/api/v1/price", json=body).raise_for_status().json())

        _deploy_all(clone, environ, ("up", "docker", "worker=3", "listener=2"), ("status",))
        key = {"authorization": f"Bearer {(clone / '.pricing' / 'admin.key').read_text().strip()}"}
        demo = price("P-999")
        http.put("/api/v1/products/T-1", json=kettle, headers=key).raise_for_status()
        assert price()["final_price"] == "100.00"
        event = {"type": "competitor_price_changed", "data": competitor}
        http.post("/api/v1/publish-market-event", json=event, headers=key).raise_for_status()
        changed = eventually(lambda: found if (found := price())["final_price"] == "95.00" else None, "the new price")
        users = _in(clone, "[command.run('exec', '-T', name, 'id', '-u') for name in ('api', 'worker', 'listener')]")
        assert users.split() == ["10001"] * 3
        backup = str(clone / "shop.dump")
        _deploy_all(clone, environ, ("backup", backup))
        http.put("/api/v1/products/T-1", json=kettle | {"base_price": "70.00"}, headers=key).raise_for_status()
        _deploy_all(clone, environ, ("restore", backup))
        assert eventually(lambda: price()["final_price"] == "95.00", "the backup's price")
        _deploy_all(clone, environ, ("down",), ("up", "docker"))
        stayed = price()
        assert [stayed[name] for name in ("final_price", "version")] == [changed["final_price"], changed["version"]]
        assert price("P-999")["final_price"] == demo["final_price"]
        _deploy_all(clone, environ, ("down",))
        with pytest.raises(httpx.ConnectError):
            price()


def test_a_start_that_was_killed_in_its_middle_is_gone_with_down_or_finished_by_up(clone: Path) -> None:
    environ = {"PRICING_HOME": clone / ".pricing", **free_ports()}
    for then in (("down",), ("up", "docker")):
        with deploying("up", "docker", cwd=clone, **environ) as starting:
            eventually(lambda: _in(clone, "print(*command.containers(running=True))").strip(), "a container runs", 300)
            os.killpg(starting.pid, signal.SIGKILL)
        _deploy_all(clone, environ, then)
        if then == ("down",):
            assert not _in(clone, "print(*command.containers(), *command.networks())").strip()
    _deploy_all(clone, environ, ("status",), ("down",))


def test_several_apis_share_one_port_and_prometheus_sees_each_of_them(clone: Path) -> None:
    need("docker", _has("haproxy", "prom/prometheus", "grafana/grafana"), "pull the images of compose.yaml")
    ports = free_ports()
    environ = {"PRICING_HOME": clone / ".pricing", **ports}
    _deploy_all(clone, environ, ("up", "docker", "monitoring", "api=3"), ("status",))
    prometheus = f"http://127.0.0.1:{ports['PROMETHEUS_PORT']}/api/v1/query"
    query = 'sum by (instance) (http_request_duration_seconds_count{job="api", route="/api/v1/price"}) > 0'

    def asked() -> bool:
        for _ in range(30):
            url = f"http://127.0.0.1:{ports['PRICING_PORT']}/api/v1/price"
            httpx.post(url, json={"product_id": "P-100"}, trust_env=False).raise_for_status()
        answer = httpx.get(prometheus, params={"query": query}, trust_env=False).raise_for_status().json()
        return len(answer["data"]["result"]) == 3

    assert eventually(asked, "each of the three answers queries", 90)
    _deploy_all(clone, environ, ("down",))
