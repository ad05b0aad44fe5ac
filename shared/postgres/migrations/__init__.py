"""The schema's versions, and the way to the newest one."""

from pathlib import Path

from alembic import command
from alembic.config import Config

from shared.settings import Settings


def migrate(settings: Settings) -> None:
    """Bring the schema to the newest version; safe to run again, and by several at once."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    url = settings.database_url.replace("postgresql://", "postgresql+psycopg://", 1).replace("%", "%%")
    config.set_main_option("sqlalchemy.url", url)
    command.upgrade(config, "head")
