"""The upcoming statuses of a crossing that the board has."""

from app.board.views import View
from app.crossings.plans import Plan, plans_of


def plans_of_view(view: View) -> list[Plan]:
    """Return the plans of the lanes of a view."""
    return plans_of(view.upcoming, view.present.details, view.present.events)
