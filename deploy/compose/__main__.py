"""`python -m deploy.compose`: start, stop and inspect the stack in containers."""

import os
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

import click
from rich.console import Console

from deploy import home as pricing_home
from deploy import ports
from deploy.compose import addresses, command, passwords
from deploy.compose.addresses import port
from deploy.compose.command import REPOSITORY
from deploy.compose.errors import DockerError
from deploy.status import StatusReport
from shared import settings

READY_S = 180
POLL_S = 0.5
GATEWAY = "gateway"
# The address ranges that Docker takes its networks from.
CONTAINERS = "172.16.0.0/12,192.168.0.0/16"
MONITORING = "monitoring"
MONITORING_PORTS = {"prometheus": "PROMETHEUS_PORT", "grafana": "GRAFANA_PORT"}
SERVICES = (
    *("gateway", "api", "worker", "listener", "redis", "postgres", "jaeger", "migrate"),
    *("prometheus", "grafana"),
)
# The listener's metrics have the figures of all queues, and can be reached only in the containers' own network.
_READ = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:9192/metrics', timeout=4).read().decode())"
SCRAPE_LISTENER = ("exec", "-T", "listener", "python", "-c", _READ)
CHECK_JAEGER = (
    *("run", "--rm", "--no-deps", "-T", "jaeger"),
    *("validate", "--config", "/etc/jaeger/config.yaml"),
)
SCALABLE = ("api", "worker", "listener")


@click.group()
@click.pass_context
def main(context: click.Context) -> None:
    """The pricing engine and its servers as containers; data in named volumes, passwords in .env."""
    context.obj = pricing_home.locate(os.environ)
    os.environ["COMPOSE_PROFILES"] = f"{GATEWAY},{MONITORING}"


@main.command()
@click.argument("arguments", nargs=-1, metavar="[monitoring] [SERVICE=N]…")
@click.option("--empty", "is_empty", is_flag=True, help="Leave the demo catalogue out.")
@click.pass_obj
def up(home: Path, arguments: tuple[str, ...], *, is_empty: bool) -> None:
    """Build missing images, start what does not run, wait until all is healthy, print the addresses.

    With `monitoring`, Prometheus and Grafana run as well.
    """
    scale = [_checked(argument) for argument in arguments if argument != MONITORING]
    is_monitored = MONITORING in arguments
    is_several = "api" in {pair.partition("=")[0] for pair in scale if not pair.endswith("=1")}
    os.environ["DEMO_OPTION"] = "--none" if is_empty else "--if-new"
    _check_settings()
    if reason := command.why_no_engine():
        raise DockerError(f"The Docker engine cannot be used ({reason}): start or repair it, or use `just up native`.")
    with _alone(home), ExitStack() as undo:
        if not command.containers(running=True):
            _refuse_taken_ports(is_monitored)
            undo.callback(_end_half_started)
        passwords.ensure(REPOSITORY, home)
        _publish(several=is_several)
        profiles = [name for name, is_wanted in ((GATEWAY, is_several), (MONITORING, is_monitored)) if is_wanted]
        os.environ["COMPOSE_PROFILES"] = ",".join(profiles)
        _start(scale)
        undo.pop_all()
    _show_addresses(is_monitored)


@main.command()
@click.pass_obj
def down(home: Path) -> None:
    """Stop and remove the containers; the data in the volumes is kept."""
    with _alone(home):
        if not (command.containers() or command.networks()):
            click.echo("Nothing runs.")
            return
        command.run("down", "--remove-orphans")
    click.echo("Everything is stopped; the data stays in Docker's volumes.")


@main.command()
@click.pass_context
def status(context: click.Context) -> None:
    """Show every container, the servers and waiting work; exit code 0 when all is well."""
    command.run("ps")
    scrapes = {"listener": partial(command.run, *SCRAPE_LISTENER, capture=True)}
    report = StatusReport(addresses.base(), scrapes, pricing_home.authorization(context.obj))
    Console().print(report.drawn())
    context.exit(0 if report.is_well and not command.unhealthy() else 1)


@main.command()
@click.argument("service", required=False)
@click.option("--follow", "-f", is_flag=True, help="Continue with new lines.")
def logs(service: str | None, follow: bool) -> None:
    """Show the last lines of every log, or of one SERVICE."""
    if service and service not in SERVICES:
        raise click.UsageError(f"There is no service {service}; there are {', '.join(SERVICES)}.")
    colour = [] if sys.stdout.isatty() else ["--no-color"]
    command.run("logs", *colour, "--tail=50", *(["--follow"] if follow else []), *([service] if service else []))


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Allow one up or down at a time. Compose inherits the lock, so the next one also waits for an orphaned Compose."""
    pricing_home.prepare(home)
    with pricing_home.locked(home, lambda: click.echo("· waiting for another up or down")) as lock:
        os.set_inheritable(lock, True)
        yield


def _start(scale: Sequence[str]) -> None:
    if "JAEGER_ARGUMENTS" not in os.environ and not command.succeeds(*CHECK_JAEGER):
        os.environ["JAEGER_ARGUMENTS"] = ""
    sizes = [part for pair in scale for part in ("--scale", pair)]
    command.run("up", "--detach", "--build", "--remove-orphans", *sizes)
    _wait()


def _show_addresses(is_monitored: bool) -> None:
    base = addresses.base()
    is_kept = os.environ.get("JAEGER_ARGUMENTS") != ""
    note = "" if is_kept else " (its spans are in memory: it rejected deploy/compose/jaeger.yaml)"
    for name, address in (
        ("api", base),
        ("docs", f"{base}/docs"),
        ("metrics", f"{base}/metrics"),
        ("jaeger", f"http://127.0.0.1:{port('JAEGER_PORT')}{note}"),
        *((name, f"http://127.0.0.1:{port(variable)}") for name, variable in MONITORING_PORTS.items() if is_monitored),
        ("admin key", "just key"),
        ("stop", "just down"),
    ):
        click.echo(f"{name:<11} {address}")


def _publish(several: bool) -> None:
    """Publish the port by the API's single container, or by the gateway in front of several."""
    host = os.environ.get("PRICING_HOST", "127.0.0.1")
    os.environ["API_ADDRESS"] = "127.0.0.1:" if several else f"{host}:{port('PRICING_PORT')}"
    if several:
        # The gateway is in the containers' network, and nothing else reaches the API's port from outside.
        os.environ.setdefault("PRICING_TRUSTED_PROXIES", CONTAINERS)
    else:
        command.run("rm", "--stop", "--force", GATEWAY, capture=True)


def _check_settings() -> None:
    try:
        settings.load()
    except settings.InvalidSettings as error:
        raise DockerError(f"{error}.") from error


def _refuse_taken_ports(is_monitored: bool) -> None:
    """Check the ports before the start: the Docker engine would fail with half of the containers running."""
    for variable in ("PRICING_PORT", "JAEGER_PORT", *(MONITORING_PORTS.values() if is_monitored else ())):
        if not ports.port_is_free(port(variable), "0.0.0.0"):  # noqa: S104 # a probe: any address of this machine
            program = ports.listener_on(port(variable))
            raise DockerError(f"Port {port(variable)} is taken by {program}: set {variable} to a free port.")


def _end_half_started() -> None:
    """Show the last log lines of a failed start, and remove its containers."""
    click.echo("· the start failed; its last log lines follow, then everything is stopped again", err=True)
    for arguments in (("logs", "--no-color", "--tail=10"), ("down", "--remove-orphans")):
        with suppress(DockerError):
            command.run(*arguments)


def _checked(pair: str) -> str:
    service, _, count = pair.partition("=")
    if service not in SCALABLE or not count.isdecimal():
        raise click.UsageError(f"{pair}: write for instance {'=2 '.join(SCALABLE)}=2.")
    return pair


def _wait() -> None:
    deadline = time.monotonic() + READY_S
    while waiting := command.unhealthy() or _not_ready():
        if gone := command.why_no_engine():
            raise DockerError(f"The Docker engine went away ({gone}): start it again, then `just up` or `just down`.")
        if time.monotonic() > deadline:
            raise DockerError(f"Not ready after {READY_S} s: {'; '.join(waiting)}.")
        time.sleep(POLL_S)


def _not_ready() -> list[str]:
    url = f"{addresses.base()}/health/ready"
    try:
        with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310 # our own address
            return [] if response.status == 200 else [f"{url} returns {response.status}"]
    except OSError as error:
        return [f"{url}: {error}"]


if __name__ == "__main__":
    main()
