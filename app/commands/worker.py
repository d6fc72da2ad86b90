"""`crossings worker`: the delivery worker, which imports the waits of feeds too."""

import typer

from app.commands.database import migrated_database
from app.commands.delivering import deliver
from app.commands.errors import fail
from app.commands.key_files import vapid_key_file, with_secret_key
from app.commands.options import DataDir, settings_of
from app.commands.secrets import require_readable_secrets
from app.config import Settings

app = typer.Typer()


@app.command("courier", hidden=True)
@app.command()
def worker(data_dir: DataDir = None) -> None:
    """Deliver webhooks. `serve` runs one such process itself; more can share the work."""
    settings = settings_of(data_dir=data_dir)
    require_importers(settings)
    with migrated_database(data_dir) as database:
        settings = with_secret_key(settings)
        require_readable_secrets(database, settings.cipher, delivers=True)
        update = {"database_url": database.url, "vapid_key": vapid_key_file(settings)}
        deliver(settings.model_copy(update=update))


def require_importers(settings: Settings) -> None:
    """End the process with a message if a feed is enabled that has no importer."""
    if not settings.enabled_importers:
        return
    from app.importers.schedule import enabled_importers  # noqa: PLC0415 -- of many libraries

    try:
        enabled_importers(settings)
    except ValueError as error:
        fail(f"importers: {error}")
