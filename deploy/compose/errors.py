"""The errors of Docker, in sentences for the stack's user."""

from collections.abc import Sequence

import click

NATIVE = "`just up native` needs no Docker."
OTHER_PORT = "end it, or set PRICING_PORT, JAEGER_PORT and the like to a free one."
ADVICE = {
    "no space left on device": "Docker's disk is full: free some space (`docker system df` shows its use), "
    "then `just up` again.",
    "port is already allocated": f"Another container has that port: {OTHER_PORT}",
    "address already in use": f"Another program has that port: {OTHER_PORT}",
}
NO_IMAGE = "The image is missing: can its registry be reached, or is the image here under another name?"


class DockerError(click.ClickException):
    """The reason why a command of Docker failed, in a sentence for its user; exit code 1."""


def compose_failed(command: str, last_lines: Sequence[str]) -> DockerError:
    """The error of a Compose command that failed.

    Args:
        command: Its first word, for instance `up`.
        last_lines: Its last lines on standard error.
    """
    lines = [line.strip() for line in last_lines if line.strip()]
    text = "\n".join(lines).lower()
    advice = next((advice for sign, advice in ADVICE.items() if sign in text), NATIVE)
    # Compose names the image in the line before the reason.
    reason = lines[-2:] if lines[-2:-1] and lines[-2].startswith("Pulling ") else lines[-1:]
    if len(reason) > 1 and advice == NATIVE:
        advice = f"{NO_IMAGE} {NATIVE}"
    return DockerError(f"docker compose {command} failed: {' '.join(reason).rstrip('.') or 'see above'}. {advice}")
