"""What goes wrong with Docker, in sentences for the one who runs the stack."""

from collections.abc import Sequence

import click

NATIVE = "`just up native` needs no Docker."
OTHER_PORT = "end it, or set PRICING_PORT, JAEGER_PORT and the like to a free one."
ADVICE = {
    "no space left on device": "Docker's disk is full: make room there (`docker system df` shows what takes it), "
    "then `just up` again.",
    "port is already allocated": f"Another container has that port: {OTHER_PORT}",
    "address already in use": f"Another program has that port: {OTHER_PORT}",
}
NO_IMAGE = "The image cannot be had: is its registry within reach, or is it here under another name?"


class DockerError(click.ClickException):
    """What keeps Docker from doing what was asked, in a sentence for its user; exit code 1."""


def compose_failed(command: str, said: Sequence[str]) -> DockerError:
    """The error of a Compose command that failed.

    Args:
        command: Its first word, for instance `up`.
        said: The last lines that it wrote on standard error.
    """
    lines = [line.strip() for line in said if line.strip()]
    text = "\n".join(lines).lower()
    advice = next((advice for sign, advice in ADVICE.items() if sign in text), NATIVE)
    # Compose names the image when it begins to pull it, and the reason alone when it could not.
    reason = lines[-2:] if lines[-2:-1] and lines[-2].startswith("Pulling ") else lines[-1:]
    if len(reason) > 1 and advice == NATIVE:
        advice = f"{NO_IMAGE} {NATIVE}"
    return DockerError(f"docker compose {command} failed: {' '.join(reason).rstrip('.') or 'see above'}. {advice}")
