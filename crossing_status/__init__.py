"""For programs that use Crossing Status over HTTP. Nothing of the server is imported here."""
