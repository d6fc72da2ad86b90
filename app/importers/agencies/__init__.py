"""The importers, one module for each feed, with the files that map its places and bound its word.

An importer is found by being here: nothing else names it.
"""
