"""What others take away: Atom, iCalendar, GeoJSON, and exports of the log.

``router.py`` has the operations. A format is a module that turns values into bytes:

* ``atom.py`` writes the entries of ``entries.py``;
* ``calendars.py`` writes the chains of ``revisions.py``: a declaration and its corrections;
* ``exports.py`` writes whole events and timelines, page by page;
* GeoJSON is made in ``app/crossings/geojson.py`` of the same values as lists of crossings.

``words.py`` has the sentences of the English feeds. docs/api.md lists every feed.
"""
