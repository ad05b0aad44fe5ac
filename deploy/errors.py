"""The one error of the native stack."""

import click


class StackError(click.ClickException):
    """The reason why a command on the stack failed, in a sentence for its user; exit code 1."""
