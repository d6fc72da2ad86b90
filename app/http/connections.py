"""Connections as the server holds them: what cannot be a request is told so as a problem."""

from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.errors import BadRequest, Problem
from app.http.problems import render
from app.http.security import ALWAYS


def written(problem: Problem) -> bytes:
    """Return a problem as bytes of HTTP/1.1, after which the connection is closed."""
    response = render(problem)
    headers = [*response.raw_headers, *ALWAYS, (b"connection", b"close")]
    status = HTTPStatus(problem.status)
    head = b"HTTP/1.1 %d %b\r\n" % (status, status.phrase.encode())
    return b"".join(
        [head, *(b"%b: %b\r\n" % header for header in headers), b"\r\n", bytes(response.body)]
    )


class Connection(HttpToolsProtocol):
    """One connection of the server."""

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP, and close."""
        self.transport.write(written(BadRequest(msg)))
        self.transport.close()
