"""The change log as Server-Sent Events."""
