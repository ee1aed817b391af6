"""A server of files on loopback whose answers a test chooses, for everything that downloads.

It knows nothing of datasets.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Answer:
    """One answer: `promised` is the length the header gives, longer than the body for a broken connection."""

    body: bytes = b""
    status: int = 200
    promised: int | None = None


@dataclass
class FileServer:
    """What the server has at each path: an answer for ever, or a list of answers, one for each request."""

    url: str
    files: dict[str, Answer | list[Answer]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def answer(self, path: str) -> Answer:
        self.asked.append(path)
        found = self.files.get(path, Answer(status=404))
        return found.pop(0) if isinstance(found, list) else found


@contextmanager
def file_server() -> Iterator[FileServer]:
    """Run a `FileServer` on a free port until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = server.answer(self.path)
            self.send_response(answer.status)
            length = len(answer.body) if answer.promised is None else answer.promised
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *_: object) -> None:
            pass  # the test says what it saw

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        server = FileServer(url=f"http://127.0.0.1:{http.server_port}")
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        http.shutdown()
        thread.join()
