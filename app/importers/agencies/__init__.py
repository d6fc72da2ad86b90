"""The importers, one module for each feed, with the files of its places and its policy.

Importers are found by listing this package: nothing else names them.
"""
