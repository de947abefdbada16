"""Is the process alive, is it ready, and what has it counted: three pages for machines, on a thread of their own."""

import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

STALLED_SECONDS = 30.0


class Health:
    """Serves /livez (the event loop turns), /readyz (each check by name) and /metrics.

    Liveness does not ask for the servers: a broker's outage must not restart the fleet.
    """

    def __init__(self, registry: CollectorRegistry, checks: Callable[[], Mapping[str, bool]]) -> None:
        self._registry = registry
        self._checks = checks
        self._beat_at = time.monotonic()
        self._server: WSGIServer | None = None

    def beat(self) -> None:
        """Called by the event loop, about every second."""
        self._beat_at = time.monotonic()

    def start(self, host: str, port: int) -> int:
        """Listen, and return the port. Raises OSError if it is taken."""
        self._server = make_server(host, port, self._answer, handler_class=_Quiet)
        threading.Thread(target=self._server.serve_forever, name="health", daemon=True).start()
        return self._server.server_port

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
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


def _verdict(checks: Mapping[str, bool]) -> tuple[str, str, bytes]:
    status = "200 OK" if all(checks.values()) else "503 Service Unavailable"
    return status, "application/json", json.dumps(dict(checks)).encode() + b"\n"


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class names it so
        """A scrape every few seconds is no news."""
