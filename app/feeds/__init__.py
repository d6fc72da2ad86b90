"""What others take away: Atom, iCalendar, GeoJSON, and exports of the log."""
