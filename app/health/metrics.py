"""Metrics for Prometheus, of all processes of a service together.

With several processes, each writes its metrics to a file in the directory that
`PROMETHEUS_MULTIPROC_DIR` names, and the one that gets the request adds them up.
"""

import asyncio
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.pool import QueuePool

from app.access.attempts import AuditTrail
from app.board.board import Board
from app.caches import usages
from app.changes.stream.stream import Stream
from app.database.writability import Writability
from app.database.write_queue import WriteQueue
from app.http.requests import SECONDS, RequestTally
from app.importers.reading import list_feeds
from app.vocabulary import AlertChannel

REFRESH_SECONDS = 1.0
TEXT = CONTENT_TYPE_LATEST
"""The media type of what `Metrics.written` returns."""

Mode = Literal["livemax", "livemin", "livesum", "mostrecent"]

_KIND = ["method", "route", "status"]


class DurationHistogram(Histogram):
    """A histogram that takes many observations at once, counted by the classes of `SECONDS`."""

    def add(self, counts: Sequence[int], total: float) -> None:
        for bucket, count in zip(self._buckets, counts, strict=True):
            if count:
                bucket.inc(count)
        self._sum.inc(total)


def _gauge(name: str, description: str, mode: Mode, *labels: str) -> Gauge:
    """Define a gauge; ``mode`` is how the values of several processes become one."""
    return Gauge(name, description, labels, multiprocess_mode=mode)


_REQUESTS = DurationHistogram(
    "crossings_request_duration_seconds", "Duration of requests.", _KIND, buckets=SECONDS
)
_BOARD_AGE = _gauge(
    "crossings_board_age_seconds",
    "Seconds since the board of a worker was last known to reflect the database; of the oldest.",
    "livemax",
)
_BOARD_CHANGE = _gauge(
    "crossings_board_change",
    "Newest change that the board of a worker reflects; of the one furthest behind.",
    "livemin",
)
_BOARD_CROSSINGS = _gauge(
    "crossings_board_crossings", "Crossings on the board of a worker.", "livemax"
)
_WRITES_WAITING = _gauge("crossings_writes_waiting", "Writes that wait for their turn.", "livesum")
_WRITES_REFUSED = Counter(
    "crossings_writes_refused", "Writes refused because too many were waiting."
)
_WRITES_FAIL = _gauge(
    "crossings_database_refuses_writes",
    "1 while a worker finds that the database does not accept writes.",
    "livemax",
)
_ATTEMPTS_LOST = Counter(
    "crossings_audit_attempts_lost", "Write attempts that the audit trail lacks."
)
_STREAM_FOLLOWERS = _gauge("crossings_stream_followers", "Open streams of changes.", "livesum")
_POOL_USED = _gauge(
    "crossings_database_connections_used",
    "Database connections that requests hold.",
    "livesum",
    "pool",
)
_POOL_SIZE = _gauge(
    "crossings_database_connections_limit",
    "Database connections that requests may hold.",
    "livesum",
    "pool",
)
_DATABASE_UP = _gauge(
    "crossings_database_up", "1 while every worker reaches the database.", "livemin"
)
_CHANGE = _gauge("crossings_change", "Newest change of the log.", "mostrecent")
_DELIVERIES = _gauge(
    "crossings_deliveries",
    "Webhook deliveries of the last 30 days, by state.",
    "mostrecent",
    "state",
)
_OLDEST_DELIVERY = _gauge(
    "crossings_delivery_oldest_pending_seconds",
    "Age of the oldest delivery that is still to succeed; 0 if there is none.",
    "mostrecent",
)
_FAN_OUT_LAG = _gauge(
    "crossings_delivery_lag_changes", "Changes of which no deliveries were made yet.", "mostrecent"
)
_SUBSCRIPTIONS = _gauge(
    "crossings_subscriptions", "Subscriptions, by status.", "mostrecent", "status"
)
_ALERTS = _gauge("crossings_alerts", "Alerts, by channel.", "mostrecent", "channel")
_ALERT_DELIVERIES = _gauge(
    "crossings_alert_deliveries",
    "Messages of alerts that are still to be sent, by channel.",
    "mostrecent",
    "channel",
)
_FEED_SUCCESS_AGE = _gauge(
    "crossings_feed_success_age_seconds",
    "Seconds since an imported feed was last read, or had not changed.",
    "mostrecent",
    "feed",
)
_FEED_AGE = _gauge(
    "crossings_feed_age_seconds",
    "Age of the newest observation that an imported feed had when it was last read.",
    "mostrecent",
    "feed",
)
_FEED_FAILURES = _gauge(
    "crossings_feed_failures",
    "Attempts to import a feed that failed since the last success.",
    "mostrecent",
    "feed",
)
_FEED_ROWS = _gauge(
    "crossings_feed_rows",
    "Observations in what was last read of a feed, new and known.",
    "mostrecent",
    "feed",
)
_FEED_REFUSED = _gauge(
    "crossings_feed_refused",
    "Values refused in what was last read of a feed.",
    "mostrecent",
    "feed",
)
_CACHE_BYTES = _gauge(
    "crossings_cache_bytes", "Bytes that a cache holds, about.", "livesum", "cache"
)
_CACHE_LIMIT = _gauge(
    "crossings_cache_limit_bytes", "Bytes that a cache may hold.", "livesum", "cache"
)
_CACHE_ENTRIES = _gauge("crossings_cache_entries", "Entries of a cache.", "livesum", "cache")
_DISK_FREE = _gauge(
    "crossings_disk_free_bytes",
    "Space left where the embedded database keeps its data.",
    "mostrecent",
)

_LOG_FIGURES = text(
    """
    SELECT newest.number, newest.number - fan_out.change,
           coalesce(extract(epoch FROM now() - (
               SELECT min(created_at) FROM delivery WHERE state = 'pending'
           )), 0)
    FROM fan_out, (SELECT coalesce(max(number), 0) AS number FROM change) AS newest
    """
)
_DELIVERY_FIGURES = text("SELECT state, count(*) FROM delivery GROUP BY state")
_SUBSCRIPTION_FIGURES = text("SELECT status, count(*) FROM subscription GROUP BY status")
_DELIVERY_STATES = ("pending", "delivered", "failed")
_ALERT_FIGURES = text("SELECT channel, count(*) FROM alert GROUP BY channel")
_ALERT_DELIVERY_FIGURES = text("""
    SELECT channel, count(*) FROM alert_delivery JOIN alert ON alert.id = alert_id GROUP BY channel
""")
_SUBSCRIPTION_STATES = ("pending", "active", "paused", "disabled")


@dataclass(frozen=True, slots=True)
class WorkerParts:
    """The objects from which the metrics of a worker are read."""

    board: Board
    tally: RequestTally
    write_queue: WriteQueue
    stream: Stream
    trail: AuditTrail
    writability: Writability
    pools: Mapping[str, QueuePool]
    """The connection pools, by purpose."""


class Metrics:
    """The metrics of a worker, updated every second."""

    def __init__(self, parts: WorkerParts, figures_dir: Path | None) -> None:
        """``figures_dir`` is the directory shared by the processes; None if there is only one."""
        self._parts = parts
        self._figures_dir = figures_dir
        self._refused = self._lost = 0

    async def run(self) -> None:
        """Update the metrics until cancelled, because other processes may serve them."""
        while True:
            self.refresh()
            await asyncio.sleep(REFRESH_SECONDS)

    def refresh(self) -> None:
        """Update the metrics of this worker."""
        parts, board = self._parts, self._parts.board
        for kind, durations in parts.tally.drain():
            _REQUESTS.labels(*map(str, kind)).add(durations.counts, durations.total)
        if board.is_loaded:
            _BOARD_AGE.set(max(0.0, board.age))
            _BOARD_CHANGE.set(board.change)
            _BOARD_CROSSINGS.set(board.size)
        _DATABASE_UP.set(not board.monitor.is_lost)
        _WRITES_WAITING.set(parts.write_queue.waiting)
        _WRITES_REFUSED.inc(parts.write_queue.refused - self._refused)
        self._refused = parts.write_queue.refused
        _WRITES_FAIL.set(parts.writability.fault is not None)
        _ATTEMPTS_LOST.inc(parts.trail.lost - self._lost)
        self._lost = parts.trail.lost
        _STREAM_FOLLOWERS.set(parts.stream.count)
        for name, pool in parts.pools.items():
            _POOL_USED.labels(name).set(pool.checkedout())
            _POOL_SIZE.labels(name).set(pool.size())
        for name, usage in usages().items():
            _CACHE_BYTES.labels(name).set(usage.bytes)
            _CACHE_LIMIT.labels(name).set(usage.bound)
            _CACHE_ENTRIES.labels(name).set(usage.entries)

    def written(self) -> bytes:
        """Return the metrics of all workers, in the text format of Prometheus."""
        self.refresh()
        registry = REGISTRY
        if self._figures_dir is not None:
            _forget_dead_workers(self._figures_dir)
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # the library's
        return generate_latest(registry)


def _forget_dead_workers(figures: Path) -> None:
    """Drop the live gauges of workers that have ended; their counters still count."""
    for process in {int(path.stem.rpartition("_")[2]) for path in figures.glob("gauge_live*.db")}:
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            mark_process_dead(process)  # type: ignore[no-untyped-call]  # the library's


async def read_log(session: AsyncSession) -> None:
    """Update the metrics of the log, of deliveries, of subscriptions and of alerts."""
    newest, lag, oldest = (await session.execute(_LOG_FIGURES)).one()
    _CHANGE.set(newest)
    _FAN_OUT_LAG.set(lag)
    _OLDEST_DELIVERY.set(float(oldest))
    for gauge, states, statement in (
        (_DELIVERIES, _DELIVERY_STATES, _DELIVERY_FIGURES),
        (_SUBSCRIPTIONS, _SUBSCRIPTION_STATES, _SUBSCRIPTION_FIGURES),
        (_ALERTS, AlertChannel, _ALERT_FIGURES),
        (_ALERT_DELIVERIES, AlertChannel, _ALERT_DELIVERY_FIGURES),
    ):
        counts = {state: count for state, count in await session.execute(statement)}  # noqa: C416
        for state in states:
            gauge.labels(state).set(counts.get(state, 0))


async def read_feeds(session: AsyncSession) -> None:
    """Update the metrics of feeds that were imported at least once."""
    now = datetime.now(UTC)
    for feed in await list_feeds(session):
        if feed.last_attempt_at is None:
            continue
        if feed.last_success_at is not None:
            age = (now - feed.last_success_at).total_seconds()
            _FEED_SUCCESS_AGE.labels(feed.name).set(max(0.0, age))
        if feed.age is not None:
            _FEED_AGE.labels(feed.name).set(feed.age)
        _FEED_FAILURES.labels(feed.name).set(feed.failures)
        _FEED_ROWS.labels(feed.name).set(feed.rows)
        _FEED_REFUSED.labels(feed.name).set(feed.refused_count)


def read_disk(data_dir: Path) -> None:
    """Update the free disk space of the embedded database."""
    if data_dir.exists():
        _DISK_FREE.set(shutil.disk_usage(data_dir).free)
