"""The tables of the imports: state that is written over, and that can go and come back."""

from alembic import command
from alembic.script import ScriptDirectory

from app import schema
from app.database.connections import create_sync_engine
from app.embedded.server import SERVICE
from tests.importers.conftest import Imports
from tests.importers.samples import echerha, queue

REVISION = "0014"


async def test_they_come_back_empty_and_feeds_are_imported_again(imports: Imports) -> None:
    await imports.take(echerha(queue()), "ua-echerha")
    config = schema._config()
    before = ScriptDirectory.from_config(config).get_revision(REVISION).down_revision
    engine = create_sync_engine(imports.database.owner_url)
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, str(before))
    engine.dispose()
    assert imports.rows("SELECT to_regclass('imported_feed'), to_regclass('imported_payload')") == [
        (None, None)
    ]

    schema.migrate(imports.database.owner_url, service_role=SERVICE)

    assert imports.rows("SELECT FROM imported_feed") == []
    outcome = await imports.take(echerha(queue(wait_time=60)), "ua-echerha")
    assert outcome.recorded == 1
