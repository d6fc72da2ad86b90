"""Notices and retractions as they are serialised for the hash chain."""

from collections.abc import Sequence

from pydantic import JsonValue

from app.notices.models import RecordRetraction
from app.notices.reading import retraction_out
from app.notices.schemas import NoticeOut
from app.sources.schemas import CitationOut


def notice_record(notice: NoticeOut) -> JsonValue:
    """Return the record of a notice, without the fields that later rows determine."""
    derived = {"contradicted_by", "superseded_by", "retraction", "stale"}
    record: JsonValue = notice.model_dump(mode="json", by_alias=True, exclude=derived)
    return record


def retraction_record(row: RecordRetraction, citations: Sequence[CitationOut]) -> JsonValue:
    """Return the record of a retraction, with its target."""
    record: JsonValue = {
        "notice": None if row.notice_id is None else str(row.notice_id),
        "incident": None if row.incident_id is None else str(row.incident_id),
        **retraction_out(row, citations).model_dump(mode="json"),
    }
    return record
