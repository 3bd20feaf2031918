"""A collector of spans and metrics over HTTP, as the reactions' process exports them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from hanse.local.ports import LOOPBACK
from hanse.otlp_http import METRICS_PATH, TRACES_PATH


@contextmanager
def collecting_http() -> Iterator[tuple[dict[str, bytes], str]]:
    """Run a collector; give what it has taken so far by path, all exports put together, and its address."""
    taken = {TRACES_PATH: b"", METRICS_PATH: b""}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            if is_known := self.path in taken:
                taken[self.path] += content
            self.send_response(HTTPStatus.OK if is_known else HTTPStatus.NOT_FOUND)
            self.end_headers()

        def log_request(self, *_request: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer((LOOPBACK, 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield taken, f"http://{LOOPBACK}:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
