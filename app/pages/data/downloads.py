"""Every download: its files, how large they are, and what the columns of the tables mean."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.crossings.geojson import GEOJSON
from app.feeds.atom import ATOM
from app.feeds.calendars import CALENDAR
from app.feeds.exports import NDJSON
from app.feeds.tables import CSV, EVENTS, STATISTICS, TIMELINES, Table
from app.feeds.workbooks import XLSX
from app.languages.words import N_

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class File:
    """A file to download."""

    path: str
    media_type: str
    format: str
    """What the format is called."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What some columns mean."""

    columns: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Download:
    """The same content in one or several formats. All texts are messages to translate."""

    id: str
    title: str
    about: str
    size: str
    files: Sequence[File]
    table: Table | None = None
    meanings: Sequence[Meaning] = ()


def _table_files(table: Table, *more: File) -> list[File]:
    path = f"/feeds/{table.name}"
    return [File(f"{path}.csv", CSV, "CSV"), File(f"{path}.xlsx", XLSX, "XLSX"), *more]


_CROSSING = Meaning(
    ("crossing", "crossing_name", "border"),
    N_("The id of the crossing, its name, and its border."),
)

DOWNLOADS = (
    Download(
        "events",
        N_("The log"),
        N_("Every decision, confirmation and withdrawal that was ever recorded, with its sources."),
        N_("Grows with the log: about 1 KB an entry."),
        _table_files(EVENTS, File("/feeds/events.ndjson", NDJSON, "NDJSON")),
        EVENTS,
        (
            Meaning(("id",), N_("The id of the entry.")),
            Meaning(("kind",), N_("A declaration, a confirmation or a retraction.")),
            _CROSSING,
            Meaning(
                ("decision", "change"),
                N_("What was decided together has the same decision; the number in the log."),
            ),
            Meaning(("sides",), N_("The countries that declare it.")),
            Meaning(("status",), N_("What is declared: open, restricted or closed.")),
            Meaning(
                ("effective_from", "effective_until"),
                N_(
                    "From when until when it applies, in UTC. Without an end: until further notice."
                ),
            ),
            Meaning(
                ("expected_until",),
                N_("An announced end in UTC, which does not reopen anything by itself."),
            ),
            Meaning(
                ("local_from", "local_until", "local_expected_until", "time_zone"),
                N_("The same by the clock of the declaring side, as exactly as it is known."),
            ),
            Meaning(
                ("precision",), N_("How exactly the start is known, from a minute to a month.")
            ),
            Meaning(
                ("traffic", "to"),
                N_("For which traffic, and into which country. Empty: for all."),
            ),
            Meaning(("reason_code", "reason_text"), N_("Why, as a code and in words.")),
            Meaning(("exceptions",), N_("Who may still cross, as JSON.")),
            Meaning(
                ("max_weight_kg", "max_height_m"),
                N_("Heavier or higher vehicles cannot cross."),
            ),
            Meaning(
                ("certainty",),
                N_("Confirmed, reported or unconfirmed. What is unconfirmed decides nothing."),
            ),
            Meaning(
                ("announced_at", "confirmed_at", "recorded_at"),
                N_(
                    "When it was announced, when its source was checked again, and when it was"
                    " recorded here, in UTC."
                ),
            ),
            Meaning(("recorded_by",), N_("Who recorded it.")),
            Meaning(
                ("supersedes", "superseded_by", "retracts", "retracted_by"),
                N_("Which entry it corrects or withdraws, and which one did so with it."),
            ),
            Meaning(("incident",), N_("The story that it belongs to.")),
            Meaning(
                ("citations",),
                N_("Its sources, with the place in each and how it supports the entry, as JSON."),
            ),
        ),
    ),
    Download(
        "timelines",
        N_("Timelines"),
        N_("The answer for every crossing at every time, as periods without gaps."),
        N_("Grows with the log: about 2 KB a period."),
        _table_files(TIMELINES, File("/feeds/timelines.ndjson", NDJSON, "NDJSON")),
        TIMELINES,
        (
            _CROSSING,
            Meaning(
                ("from", "until"),
                N_("The period, in UTC. Empty: it has no beginning or no end."),
            ),
            Meaning(
                ("status", "last_known"),
                N_("The answer, and what was last known if it is unknown."),
            ),
            Meaning(
                ("stale", "overdue"),
                N_("Whether a closure was not confirmed lately, or an expected end has passed."),
            ),
            Meaning(("decided_by",), N_("The entries of the log that decide.")),
            Meaning(("lanes",), N_("The status of each lane, as JSON.")),
            Meaning(
                ("local_from", "local_until"),
                N_("The same by the clock of the side that decides, as exactly as it is known."),
            ),
        ),
    ),
    Download(
        "statistics",
        N_("Statistics"),
        N_("Time by status, closures and waits of every crossing over a range."),
        N_("Small: a line for each crossing."),
        _table_files(STATISTICS),
        STATISTICS,
        (
            _CROSSING,
            Meaning(("from", "until"), N_("The range, in UTC; by default the last 365 days.")),
            Meaning(
                ("seconds_open", "seconds_restricted", "seconds_closed", "seconds_unknown"),
                N_("How long each status lasted, in seconds."),
            ),
            Meaning(
                ("shares_open", "shares_restricted", "shares_closed", "shares_unknown"),
                N_("The same as shares of the range."),
            ),
            Meaning(
                ("closures_count", "closures_total", "closures_median", "closures_longest"),
                N_(
                    "How many closures there were, and how long they lasted in all, as a median,"
                    " and at most, in seconds."
                ),
            ),
            Meaning(
                ("closures_began_before", "closures_continued_after"),
                N_("How many of them began before the range or continued after it."),
            ),
            Meaning(("waits",), N_("Median waits by lane, as JSON.")),
        ),
    ),
    Download(
        "crossings",
        N_("Crossings now"),
        N_("Every crossing with its names, its location and its present status."),
        N_("Small: a line for each crossing."),
        (
            File("/feeds/crossings.geojson", GEOJSON, "GeoJSON"),
            File("/v1/crossings", JSON, "JSON"),
        ),
    ),
    Download(
        "notices",
        N_("Notices, stories and sources"),
        N_("What is not a status: advice, reactions, threats; and what all facts are taken from."),
        N_("Pages of at most 200."),
        (
            File("/v1/notices", JSON, "notices"),
            File("/v1/incidents", JSON, "incidents"),
            File("/v1/sources", JSON, "sources"),
        ),
    ),
    Download(
        "news",
        N_("News and calendar"),
        N_("What is new, for feed readers, and closures for calendars; also of one crossing."),
        N_("Pages of at most 200."),
        (
            File("/feeds/events.atom", ATOM, "Atom"),
            File("/feeds/closures.ics", CALENDAR, "iCalendar"),
        ),
    ),
    Download(
        "changes",
        N_("Changes and the API"),
        N_("Every step of the log with its hash, and the description of all calls."),
        N_("Pages of at most 200."),
        (
            File("/v1/changes", JSON, "changes"),
            File("/openapi.json", JSON, "OpenAPI"),
        ),
    ),
)

TABLES = tuple(download for download in DOWNLOADS if download.table is not None)
"""The downloads that are tables."""
EXPORTS = tuple(
    file for download in DOWNLOADS for file in download.files if file.path.startswith("/feeds/")
)
"""The files that have all of the data of their kind."""
