"""The schema's versions, and their application."""

from collections.abc import Iterator
from io import StringIO
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from shared.settings import Settings


def migrate(settings: Settings, version: str = "head") -> None:
    """Migrate the schema to the newest or a given version; safe to repeat, and for several processes at once."""
    config = _config(None)
    config.attributes["database_url"] = settings.direct_url
    command.upgrade(config, version)


def statements(since: str) -> Iterator[tuple[str, str]]:
    """The name and the SQL of every migration after the version `since`, without a connection."""
    scripts = ScriptDirectory.from_config(_config(None))
    for script in reversed(list(scripts.walk_revisions(since, "head"))):
        if script.revision != since:
            sql = StringIO()
            command.upgrade(_config(sql), f"{script.down_revision}:{script.revision}", sql=True)
            yield Path(script.path).stem, sql.getvalue()


def _config(sql: StringIO | None) -> Config:
    config = Config(output_buffer=sql) if sql else Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return config
