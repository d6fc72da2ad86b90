"""Notices and retractions as the hash chain has them."""

from collections.abc import Sequence

from pydantic import JsonValue

from app.notices.models import RecordRetraction
from app.notices.reading import retraction_out
from app.notices.schemas import NoticeOut
from app.sources.schemas import CitationOut


def notice_record(notice: NoticeOut) -> JsonValue:
    """Return a notice without what is derived later."""
    derived = {"contradicted_by", "superseded_by", "retraction", "stale"}
    record: JsonValue = notice.model_dump(mode="json", by_alias=True, exclude=derived)
    return record


def retraction_record(row: RecordRetraction, citations: Sequence[CitationOut]) -> JsonValue:
    """Return a retraction, and of what it is."""
    record: JsonValue = {
        "notice": None if row.notice_id is None else str(row.notice_id),
        "incident": None if row.incident_id is None else str(row.incident_id),
        **retraction_out(row, citations).model_dump(mode="json"),
    }
    return record
