"""`crossings worker`: the delivery worker, which imports the waits of feeds too."""

from functools import partial

import typer

from app.commands.database import migrated_database
from app.commands.errors import fail
from app.commands.key_files import vapid_key_file, with_secret_key
from app.commands.options import DataDir, settings_of
from app.commands.secrets import require_readable_secrets
from app.config import Settings
from app.delivery.processes import follow_parent
from app.garbage import collection_paused
from app.logs import configure_logs
from app.tracing import start_tracing

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
        _be_worker(settings.model_copy(update=update))


def beside_server() -> None:
    """Be the delivery worker beside a server, in a process that it started."""
    follow_parent()
    _be_worker(Settings())


def require_importers(settings: Settings) -> None:
    """End the process with a message if a feed is enabled that has no importer."""
    if not settings.enabled_importers:
        return
    from app.importers.schedule import enabled_importers  # noqa: PLC0415 -- as below

    try:
        enabled_importers(settings)
    except ValueError as error:
        fail(f"importers: {error}")


def _be_worker(settings: Settings) -> None:
    # Their libraries take half a second to import, which `serve` itself does not need.
    with collection_paused():
        from app.alerts.dispatcher import AlertDispatcher  # noqa: PLC0415
        from app.delivery.worker import main  # noqa: PLC0415
        from app.importers.schedule import ImportSchedule  # noqa: PLC0415

    configure_logs(settings.log_format, settings.log_level)
    tracing = start_tracing(settings)
    alerts = AlertDispatcher(settings)
    if tracing is None:
        main(settings, besides=[ImportSchedule(settings).run, alerts.run])
        return
    from app.tracing.workers import (  # noqa: PLC0415 -- its libraries may not be installed
        TracedDeliveryWorker,
        TracedRunner,
    )

    schedule = ImportSchedule(settings, make_runner=partial(TracedRunner, tracing=tracing))
    besides = [schedule.run, alerts.run]
    main(settings, besides, make_worker=partial(TracedDeliveryWorker, tracing=tracing))
