"""Incidents: the stories that gather decisions and notices."""
