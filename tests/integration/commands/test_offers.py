"""`just offers`: revocations are listed, and made with a reason."""

from datetime import UTC, datetime

from click.testing import CliRunner, Result

from shared.commands.offers import offers_command
from shared.offers import revocations
from shared.postgres.pools import Pool
from shared.settings import Settings


def just(settings: Settings, *arguments: str) -> Result:
    return CliRunner().invoke(offers_command, arguments, obj=settings)


def test_a_revocation_is_stored_with_its_reason_and_listed(settings: Settings, pool: Pool) -> None:
    done = just(settings, "revoke", "--reason", "a wrong list", "--before", "2020-01-31T12:00:00")
    assert done.exit_code == 0, done.output
    with pool.connection() as conn:
        newest = revocations.listed(conn)[0]
    assert (newest.revoked_before, newest.reason) == (datetime(2020, 1, 31, 12, tzinfo=UTC), "a wrong list")
    assert newest.author.startswith("just (")
    assert "2020-01-31 12:00:00" in just(settings).output


def test_a_revocation_needs_a_reason(settings: Settings) -> None:
    assert just(settings, "revoke").exit_code == 2
