"""The little that `check` reads from RabbitMQ's HTTP API."""

import base64
import json
import urllib.request
from collections.abc import Collection
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import SplitResult, quote, unquote, urlsplit

HTTP_SECONDS = 5.0
PORT, TLS_PORT = 15672, 443
"""RabbitMQ's own port, and that of a TLS proxy in front of it."""


@dataclass(frozen=True, slots=True)
class ActualQueue:
    durable: bool
    arguments: dict[str, Any]
    """What it was declared with."""
    policy: dict[str, Any]
    """What the user's and the operator's policies add, by the names of arguments: `x-delivery-limit`."""
    members: Collection[str] | None
    """The nodes that keep a replica of it; None: not reported, as of a classic queue."""
    online: Collection[str] | None
    """Those of them that run, as the node that was asked sees it."""


class Management:
    """Reads one vhost. Raises OSError when the API cannot be reached, refuses the user, or is none."""

    def __init__(self, url: str, broker_url: str) -> None:
        parts = urlsplit(url)
        self._base = _base(parts)
        credentials = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
        self._authorization = "Basic " + base64.b64encode(credentials.encode()).decode()
        self._vhost = quote(unquote(urlsplit(broker_url).path[1:]) or "/", safe="")

    def queues(self) -> dict[str, ActualQueue]:
        return {
            queue["name"]: ActualQueue(
                queue["durable"],
                queue["arguments"],
                _policy_arguments(queue),
                queue.get("members"),
                queue.get("online"),
            )
            for queue in self._get(f"queues/{self._vhost}")
        }

    def bindings(self) -> set[tuple[str, str, str]]:
        """(exchange, key, queue)."""
        return {
            (binding["source"], binding["routing_key"], binding["destination"])
            for binding in self._get(f"bindings/{self._vhost}")
            if binding["destination_type"] == "queue"
        }

    def nodes(self) -> Collection[str] | None:
        """All of the cluster, running or not; None: this user may not see them, for want of the tag `monitoring`."""
        try:
            return [node["name"] for node in self._get("nodes")]
        except HTTPError as error:
            with error:
                if error.code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
                    return None
                raise

    def _get(self, path: str) -> list[dict[str, Any]]:
        request = urllib.request.Request(f"{self._base}/{path}", headers={"Authorization": self._authorization})  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=HTTP_SECONDS) as response:  # noqa: S310  the operator's own URL
                answer = json.load(response)
        except (HTTPException, ValueError) as error:  # no HTTP, no JSON, or no URL that could be asked
            raise OSError(f"this is not RabbitMQ's HTTP API: {error!r}") from None
        if not isinstance(answer, list):
            raise OSError("this is not RabbitMQ's HTTP API")
        return answer


def _base(parts: SplitResult) -> str:
    """`https://[::1]:15671/rabbit/api`: without the credentials, which urllib would take for a part of the host."""
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    port = parts.port or (TLS_PORT if parts.scheme == "https" else PORT)
    return f"{parts.scheme}://{host}:{port}{parts.path.rstrip('/')}/api"


def _policy_arguments(queue: dict[str, Any]) -> dict[str, Any]:
    definition = queue.get("effective_policy_definition") or {}
    return {f"x-{name}": value for name, value in definition.items()}
