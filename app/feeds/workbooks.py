"""Write tables as workbooks of Office Open XML (.xlsx, ISO/IEC 29500), in constant memory.

Such a file is a ZIP archive whose parts are known only at the end: it is written to a temporary
directory, and sent when it is complete. Text stays text, whatever it begins with, so that no cell
is a formula; instants are text as well, because the cells of a workbook have no time zones. A text
of more than 32,767 characters, the most that a cell may have, is cut.
"""

from asyncio import to_thread
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from xlsxwriter import Workbook
from xlsxwriter.exceptions import XlsxFileError

from app.errors import HistoryOverloaded
from app.feeds.tables import Row, Table
from app.feeds.words import writable

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MAX_ROWS = 1_048_576
"""Rows that a sheet may have. A longer table goes on in another sheet."""
_PIECE = 256 * 1024
_CREATED = datetime(2026, 1, 1, tzinfo=UTC)
"""The same in every file, so that the same table has the same bytes."""


async def write_workbook(pages: AsyncIterator[list[Row]], table: Table) -> AsyncIterator[bytes]:
    """Yield a workbook with one sheet: a header, and the rows.

    Raises HistoryOverloaded if there is no room on the disk.
    """
    with TemporaryDirectory(prefix="crossings-", ignore_cleanup_errors=True) as directory:
        file = Path(directory, "table.xlsx")
        with _room_required():
            workbook = _TableWorkbook(file, table)
        try:
            async for page in pages:
                with _room_required():
                    await to_thread(workbook.append, page)
            with _room_required():
                await to_thread(workbook.close)
        finally:
            workbook.release()
        with await to_thread(file.open, "rb") as content:
            while piece := await to_thread(content.read, _PIECE):
                yield piece


@contextmanager
def _room_required() -> Iterator[None]:
    try:
        yield
    except (OSError, XlsxFileError) as error:
        raise HistoryOverloaded("There is no room for a workbook. Try again later.") from error


class _TableWorkbook:
    """A table in a workbook that is written row by row."""

    def __init__(self, file: Path, table: Table) -> None:
        self._workbook = Workbook(
            str(file), {"constant_memory": True, "tmpdir": str(file.parent), "use_zip64": True}
        )
        self._workbook.set_properties({"title": table.name, "created": _CREATED})
        self._bold = self._workbook.add_format({"bold": True})
        self._table = table
        self._sheets = 0
        self._begin_sheet()

    def append(self, rows: Iterable[Row]) -> None:
        for row in rows:
            if self._row == MAX_ROWS:
                self._begin_sheet()
            for column, cell in enumerate(row):
                if not isinstance(cell, str):
                    self._sheet.write_number(self._row, column, cell)
                elif cell:
                    self._sheet.write_string(self._row, column, writable(cell))
            self._row += 1

    def close(self) -> None:
        self._workbook.close()

    def release(self) -> None:
        """Close what is still open of a workbook that was not finished."""
        for sheet in self._workbook.worksheets():
            sheet.row_data_fh.close()

    def _begin_sheet(self) -> None:
        self._sheets += 1
        self._sheet = self._workbook.add_worksheet(
            self._table.name if self._sheets == 1 else f"{self._table.name} {self._sheets}"
        )
        self._sheet.freeze_panes(1, 0)
        for column, title in enumerate(self._table.columns):
            self._sheet.write_string(0, column, title, self._bold)
        self._row = 1
