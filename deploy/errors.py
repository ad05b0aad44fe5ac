"""The one error of the native stack."""

import click


class StackError(click.ClickException):
    """What keeps the stack from doing what was asked, in a sentence for its user; exit code 1."""
