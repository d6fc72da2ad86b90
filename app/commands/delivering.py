"""The process that delivers webhooks and alerts, and imports the waits of feeds."""

from functools import partial

from app.config import Settings
from app.delivery.processes import follow_parent
from app.garbage import collection_paused
from app.logs import configure_logs
from app.tracing import start_tracing


def deliver_beside_server() -> None:
    """Be the delivery worker beside a server, in a process that it started."""
    follow_parent()
    deliver(Settings())


def deliver(settings: Settings) -> None:
    """Be a delivery worker until SIGTERM or SIGINT."""
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
