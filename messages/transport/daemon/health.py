"""Liveness, readiness and metrics of the process, served over HTTP on a thread of their own."""

import contextlib
import errno
import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from socketserver import TCPServer, ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import structlog
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

log = structlog.get_logger(__name__)

STALLED_SECONDS = 30.0
REQUEST_SECONDS = 10.0
STOP_SECONDS = 1.0
REST_SECONDS = 0.1


class Health:
    """Serves /livez (the event loop turns), /readyz (each check by name) and /metrics.

    Liveness ignores the servers: a broker's outage must not restart the fleet.
    """

    def __init__(self, registry: CollectorRegistry, checks: Callable[[], Mapping[str, bool]]) -> None:
        self._registry = registry
        self._checks = checks
        self._beat_at = time.monotonic()
        self._thread: threading.Thread | None = None
        self._server: _Server | None = None

    def beat(self) -> None:
        """Called by the event loop, about every second."""
        self._beat_at = time.monotonic()

    def start(self, host: str, port: int) -> int:
        """Listen, and return the port. Raises OSError if it is taken, or the host is not this one."""
        self._server = make_server(host, port, self._answer, _Server, _Quiet)
        self._thread = threading.Thread(target=self._server.serve, name="health", daemon=True)
        self._thread.start()
        return self._server.server_port

    def stop(self) -> None:
        if self._server is not None and self._thread is not None:
            self._server.stop()
            self._thread.join(STOP_SECONDS)
            self._server.server_close()

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        status, content_type, body = self._page(environ.get("PATH_INFO", ""))
        start_response(status, [("Content-Type", content_type), ("Content-Length", str(len(body)))])
        return [body]

    def _page(self, path: str) -> tuple[str, str, bytes]:
        if path == "/livez":
            return _verdict({"event_loop": time.monotonic() - self._beat_at < STALLED_SECONDS})
        if path == "/readyz":
            return _verdict(self._checks())
        if path == "/metrics":
            return "200 OK", CONTENT_TYPE_LATEST, generate_latest(self._registry)
        return "404 Not Found", "text/plain", b"/livez, /readyz and /metrics are served here\n"


def wrong_setting(error: Exception) -> str:
    """Which setting is to blame if the server cannot be started."""
    taken_or_forbidden = getattr(error, "errno", None) in (errno.EADDRINUSE, errno.EACCES)
    return "HTTP_PORT" if taken_or_forbidden else "HTTP_HOST"


def _verdict(checks: Mapping[str, bool]) -> tuple[str, str, bytes]:
    status = "200 OK" if all(checks.values()) else "503 Service Unavailable"
    return status, "application/json", json.dumps(dict(checks)).encode() + b"\n"


class _Server(ThreadingMixIn, WSGIServer):
    """A thread per request: a client that connects and sends nothing must not make the process look dead."""

    daemon_threads = True
    _stopping = False

    def __init__(self, address: tuple[str, int], handler: type[WSGIRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, handler)

    def server_bind(self) -> None:
        """As WSGIServer, but without asking DNS for this host's name: the daemon would wait for it at its start."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.socket.getsockname()[:2]
        self.setup_environ()

    def serve(self) -> None:
        """Sleep between requests: serve_forever would poll several times a second for a stop."""
        while not self._stopping:
            self.handle_request()

    def get_request(self) -> tuple[socket.socket, Any]:
        """Rest if that fails: with no descriptor left, the same caller would be tried again and again."""
        try:
            return super().get_request()
        except OSError:
            time.sleep(REST_SECONDS)
            raise

    def stop(self) -> None:
        """Wake it up with a last request."""
        self._stopping = True
        with contextlib.suppress(OSError):
            socket.create_connection(self.socket.getsockname()[:2], STOP_SECONDS).close()

    def handle_error(self, *request_and_client: object) -> None:
        log.debug("health request failed", client=request_and_client[1], error=repr(sys.exception()))


class _Quiet(WSGIRequestHandler):
    timeout = REQUEST_SECONDS

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class names it so
        """Log no requests: there is a scrape every few seconds."""
