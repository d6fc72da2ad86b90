"""The commands of `crossings`, one module each. They call the same functions as HTTP does.

`app.cli` imports the module of a command only when it is called, since most take long to import.
"""
