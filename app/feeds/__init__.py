"""Feeds for other programs: Atom, iCalendar, GeoJSON, and exports of the log.

``router.py`` has the operations, ``responses.py`` their common part. A format is a module that
turns values into bytes:

* ``atom.py`` writes the entries of ``entries.py``;
* ``calendars.py`` writes the chains of ``revisions.py``: declarations with their corrections;
* ``exports.py`` reads whole events, timelines and statistics, page by page, and writes them as
  NDJSON; ``tables.py`` writes them as tables (CSV), ``workbooks.py`` those as XLSX;
* GeoJSON is written by ``app/crossings/geojson.py``, from the bodies that lists of crossings have.

``words.py`` has the sentences of the English feeds. docs/api.md lists every feed.
"""
