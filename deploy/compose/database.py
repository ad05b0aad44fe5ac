"""The database of the stack in containers; the tools run in PostgreSQL's container, as its superuser."""

import os

from deploy.compose import command, passwords
from deploy.compose.command import REPOSITORY
from deploy.compose.errors import DockerError
from deploy.database import Database

NAME = OWNER = "pricing"
SUPERUSER = "postgres"


def find() -> Database:
    """The database; its container must run."""
    return Database(
        name=NAME,
        owner=OWNER,
        server=f"user={SUPERUSER}",
        tool=lambda tool: command.line("exec", "-T", "postgres", tool),
        env=os.environ,
        migrate=_migrate,
    )


def _migrate(database: str) -> None:
    password = passwords.read(REPOSITORY)["POSTGRES_PASSWORD"]
    # A variable that is only named: its value, with the password, stays off the command line.
    env = {"PRICING_DATABASE_URL": f"postgresql://{OWNER}:{password}@postgres:5432/{database}"}
    options = ("--rm", "--no-deps", "-T", "-e", "PRICING_DATABASE_URL")
    done = command.captured("run", *options, "migrate", "python", "-m", "shared.commands", "migrate", env=env)
    if done.returncode:
        raise DockerError(f"{done.stdout}{done.stderr}\nThe restored database could not be migrated: see above.")
