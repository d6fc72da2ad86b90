"""Payloads that could not be read completely, kept for repairing the importer."""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

KEPT = 20
"""The number of payloads kept of a feed; older ones are deleted."""
KEPT_BYTES = 5_000_000
"""The largest part of a payload that is kept."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Quarantine:
    """A folder with one folder for each feed, in which each payload lies beside its report."""

    folder: Path

    def keep(
        self, feed: str, body: bytes, report: Sequence[str], *, at: datetime, with_body: bool
    ) -> Path | None:
        """Keep a payload and a report of its faults; return the file of the report.

        Without its body only its hash and the report are kept. The same payload is kept once. None
        if nothing can be written.
        """
        digest = hashlib.sha256(body).hexdigest()
        folder = self.folder / feed
        file = folder / f"{digest[:16]}.txt"
        head = [f"SHA-256 {digest}", f"{len(body)} bytes, read at {at:%Y-%m-%dT%H:%M:%SZ}", ""]
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if with_body:
                file.with_suffix(".payload").write_bytes(body[:KEPT_BYTES])
            file.write_text("\n".join([*head, *report, ""]), encoding="utf-8")
            self._forget_old(folder)
        except OSError as error:
            _log.warning("A payload of %s could not be kept aside: %s", feed, error)
            return None
        return file

    @staticmethod
    def _forget_old(folder: Path) -> None:
        reports = sorted(folder.glob("*.txt"), key=lambda file: file.stat().st_mtime)
        for file in reports[:-KEPT]:
            file.with_suffix(".payload").unlink(missing_ok=True)
            file.unlink(missing_ok=True)
