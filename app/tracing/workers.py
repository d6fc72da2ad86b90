"""The spans of the delivery worker: a turn of a subscription, a message, an import."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from opentelemetry.trace import SpanKind, StatusCode

from app.config import Settings
from app.delivery.worker import Beside, DeliveryWorker
from app.importers.fetching import Fetcher
from app.importers.running import ImportOutcome, Runner
from app.subscriptions.deliveries import Outcome, Turn
from app.subscriptions.sending import Message
from app.tracing.spans import Tracing


class TracedDeliveryWorker(DeliveryWorker):
    """A delivery worker whose turns are traces."""

    def __init__(self, settings: Settings, besides: Sequence[Beside], *, tracing: Tracing) -> None:
        super().__init__(settings, besides)
        self._tracing = tracing

    async def take_turn(self, turn: Turn) -> None:
        with self._tracing.span("webhook turn", SpanKind.CONSUMER) as span:
            span.set_attribute("crossings.subscription", str(turn.subscription_id))
            await super().take_turn(turn)

    async def attempt(self, message: Message) -> Outcome:
        with self._tracing.span("webhook message", SpanKind.CLIENT) as span:
            span.set_attribute("crossings.message", str(message.id))
            outcome = await super().attempt(message)
            if outcome.status is not None:
                span.set_attribute("http.response.status_code", outcome.status)
            if outcome.error is not None:
                span.set_status(StatusCode.ERROR, outcome.error)
            return outcome


@dataclass(frozen=True, slots=True)
class TracedRunner(Runner):
    """Imports each of which is a trace."""

    tracing: Tracing

    async def run(
        self,
        fetcher: Fetcher,
        addresses: Sequence[str] | None = None,
        *,
        observed_at: datetime | None = None,
    ) -> list[ImportOutcome]:
        with self.tracing.span(f"import {self.importer.name}") as span:
            # A dataclass with slots is not the class that `super` would refer to.
            outcomes = await Runner.run(self, fetcher, addresses, observed_at=observed_at)
            span.set_attribute("crossings.recorded", sum(one.recorded for one in outcomes))
            if outcomes and all(outcome.has_failed for outcome in outcomes):
                span.set_status(StatusCode.ERROR)
            return outcomes
