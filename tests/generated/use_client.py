"""Use the generated client against a running service, as its user would: ADDRESS KEY.

It runs in an environment that has the client and nothing of this project; `mypy --strict` reads
it there, too.
"""

import sys
from typing import assert_type

from crossing_status_client import AuthenticatedClient, Client
from crossing_status_client.api.borders import list_borders
from crossing_status_client.api.changes import list_changes
from crossing_status_client.api.crossings import get_crossing, list_crossings
from crossing_status_client.api.feeds import get_crossings_geojson
from crossing_status_client.api.notices import list_notices
from crossing_status_client.api.status import get_status, get_timeline, post_event
from crossing_status_client.api.subscriptions import post_subscription
from crossing_status_client.models import (
    BorderSummary,
    CountryCode,
    CrossingDetail,
    CrossingStatus,
    Decision,
    DecisionPreview,
    DeclaredStatus,
    FeatureCollection,
    NearbyCrossing,
    NewCitation,
    NewDecision,
    NewSource,
    NewSubscription,
    Notice,
    PageOfChanges,
    PageOfNotices,
    PageOfTimelinePeriods,
    Problem,
    Reason,
    ReasonCode,
    Status,
    SubscriptionWithSecret,
)

SUMSKAS = "sumskas-losa"


def read(client: Client) -> None:
    status = get_status.sync(SUMSKAS, client=client)
    assert_type(status, CrossingStatus | Problem | None)
    assert isinstance(status, CrossingStatus)
    assert status.status is Status.CLOSED
    assert status.since is not None
    assert status.since.year == 2023
    assert status.decided_by[0].sides == [CountryCode.LT]

    crossing = get_crossing.sync(SUMSKAS, client=client)
    assert isinstance(crossing, CrossingDetail)
    assert crossing.now.status is crossing.status

    near = list_crossings.sync(client=client, near="54.69,25.28", limit=1)
    assert near is not None
    assert not isinstance(near, Problem)
    assert isinstance(near.items[0], NearbyCrossing)
    assert near.next_ is not None

    borders = list_borders.sync(client=client)
    assert borders is not None
    assert not isinstance(borders, Problem)
    assert all(isinstance(border, BorderSummary) for border in borders.items)

    notices = list_notices.sync(client=client)
    assert isinstance(notices, PageOfNotices)
    assert all(isinstance(notice, Notice) for notice in notices.items)
    assert "en" in notices.items[0].text.additional_properties

    assert isinstance(get_timeline.sync(SUMSKAS, client=client), PageOfTimelinePeriods)
    assert isinstance(list_changes.sync(client=client), PageOfChanges)
    assert isinstance(get_crossings_geojson.sync(client=client), FeatureCollection)

    missing = get_status.sync("no-such-crossing", client=client)
    assert isinstance(missing, Problem)
    assert missing.type_ == "/problems/crossing-not-found"


def write(client: AuthenticatedClient) -> None:
    closing = NewDecision(
        crossings=[SUMSKAS],
        sides=[CountryCode.LT],
        status=DeclaredStatus.CLOSED,
        reason=Reason(code=ReasonCode.WEATHER),
        citations=[NewCitation(source=NewSource(title="Crossing closed by snow"))],
    )
    previewed = post_event.sync(client=client, body=closing, validate_only=True)
    assert isinstance(previewed, DecisionPreview)
    decided = post_event.sync(client=client, body=closing, idempotency_key="snow")
    assert isinstance(decided, Decision)
    assert decided.events[0].status is DeclaredStatus.CLOSED
    again = post_event.sync(client=client, body=closing, idempotency_key="snow")
    assert again == decided

    subscription = post_subscription.sync(
        client=client, body=NewSubscription(url="https://example.com/crossings")
    )
    assert isinstance(subscription, SubscriptionWithSecret)
    assert subscription.secret


if __name__ == "__main__":
    address, key = sys.argv[1:]
    read(Client(base_url=address))
    write(AuthenticatedClient(base_url=address, token=key))
