"""Limits of clients and queues, so that none fills the broker's memory or disk at the expense of the others."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from messages.transport.addresses import OUTCOMES

CLIENT_LIMITS: Mapping[str, int] = {"max-connections": 1_000, "max-channels": 5_000}
"""For each client's user; one `order-saga place` opens several connections."""
MAX_QUEUES = 1_000
"""In the virtual host: those of the services and of all clients."""
QUEUE_BYTES = 2_000_000_000
"""In a service's queue. Beyond it publishes are rejected and retried later, as with its limit of messages."""

CLIENTS_QUEUES = rf"^{OUTCOMES}\..+$"
ABSENT_CLIENT_SECONDS = 600
OUTCOMES_KEPT = 100_000
OUTCOMES_BYTES = 200_000_000
STREAM_BYTES = 100_000_000
STREAM_SEGMENT_BYTES = 20_000_000
STREAM_AGE = "1h"


def policies(vhost: str, services: Iterable[str]) -> list[dict[str, Any]]:
    """RabbitMQ applies one policy to a queue, and none with a key that queues of its type do not support."""
    ours = rf"^({'|'.join(map(re.escape, services))})\..+$"
    return [
        _policy(vhost, "absent clients", CLIENTS_QUEUES, "queues", _ABSENT),
        _policy(vhost, "streams of clients", CLIENTS_QUEUES, "streams", _STREAMS),
        _policy(vhost, "queues of services", ours, "quorum_queues", {"max-length-bytes": QUEUE_BYTES}),
    ]


def parameters(vhost: str) -> Sequence[dict[str, Any]]:
    """The virtual host's limits; RabbitMQ ignores those in its entry in `vhosts`."""
    limits = {"max-queues": MAX_QUEUES}
    return [{"component": "vhost-limits", "name": "limits", "vhost": vhost, "value": limits}]


def _policy(vhost: str, name: str, pattern: str, kind: str, definition: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": name, "vhost": vhost, "pattern": pattern, "apply-to": kind, "definition": dict(definition)}


# An absent client must not fill the broker.
_ABSENT = {
    "expires": ABSENT_CLIENT_SECONDS * 1000,
    "max-length": OUTCOMES_KEPT,
    "max-length-bytes": OUTCOMES_BYTES,
    "overflow": "drop-head",
}
# A stream never expires, and is truncated by whole segments only.
_STREAMS = {
    "max-age": STREAM_AGE,
    "max-length-bytes": STREAM_BYTES,
    "stream-max-segment-size-bytes": STREAM_SEGMENT_BYTES,
}
