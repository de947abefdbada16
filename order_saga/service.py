"""The order saga as the transport sees it."""

import re
from functools import partial
from pathlib import Path

from messages.transport.addresses import queue_name
from messages.transport.database.row_cache import RowCache
from messages.transport.handled import Outgoing
from messages.transport.incoming import Malformed
from messages.transport.service import Service
from order_saga import outgoing
from order_saga.deadlines import jobs
from order_saga.gathering import Gathering
from order_saga.handlers import HANDLERS, NEW_WORK, PRIORITY, handle
from order_saga.queries import MEASURES, capacity
from order_saga.rows import TABLE
from order_saga.settings import Settings
from order_saga.state import Saga

NAME = "order_saga"
REQUEST = re.compile(r"(OrderRequested|CancelOrder)\b")
REQUEST_IN_BYTES = re.compile(rb'"type"\s*:\s*"(OrderRequested|CancelOrder)\b')


def service(settings: Settings) -> Service:
    row_cache = RowCache[Saga](TABLE)
    return Service(
        name=NAME,
        handlers=HANDLERS,
        handle=partial(handle, settings.policy, row_cache),
        new_work_queue=NEW_WORK,
        priority_queue=PRIORITY,
        row_cache=row_cache,
        gathering=Gathering(),
        migrations=[Path(__file__).parent / "migrations"],
        jobs=jobs(settings),
        measures=MEASURES,
        takes_new_work=settings.undecided_limit > 0,
        capacity=partial(capacity, undecided_limit=settings.undecided_limit),
        answer_malformed=answer_malformed,
    )


def answer_malformed(document: Malformed) -> list[Outgoing]:
    """Reject an unreadable document, if it can be recognised as a request."""
    if not _is_request(document):
        return []
    detail = f"{document.reason}: {document.detail}"[:500]
    message, to = outgoing.rejection(document.order_id, document.message_id, "malformed", detail)
    return [Outgoing(message, to)]


def _is_request(document: Malformed) -> bool:
    if document.wire_type is not None:
        return REQUEST.match(document.wire_type) is not None
    # Whatever came in on the queue of orders was published under the key of an OrderRequested.
    return document.queue == queue_name(NAME, NEW_WORK) or REQUEST_IN_BYTES.search(document.body) is not None
