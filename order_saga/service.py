"""The order saga as the transport sees it."""

import re
from functools import partial
from pathlib import Path

from messages.transport.incoming import Malformed
from messages.transport.memory import Memory
from messages.transport.service import Said, Service
from messages.transport.topology import queue_name
from order_saga import words
from order_saga.deadlines import jobs
from order_saga.gathering import Gathering
from order_saga.handlers import FIRST, HANDLERS, INTAKE, handle
from order_saga.queries import MEASURES, room
from order_saga.rows import TABLE
from order_saga.settings import Settings
from order_saga.state import Saga

NAME = "order_saga"
REQUEST = re.compile(r"(OrderRequested|CancelOrder)\b")
REQUEST_IN_BYTES = re.compile(rb'"type"\s*:\s*"(OrderRequested|CancelOrder)\b')


def service(settings: Settings) -> Service:
    """The order saga's definition for the transport."""
    memory = Memory[Saga](TABLE)
    return Service(
        name=NAME,
        handlers=HANDLERS,
        handle=partial(handle, settings.terms, memory),
        intake=INTAKE,
        first=FIRST,
        memory=memory,
        gathering=Gathering(),
        migrations=[Path(__file__).parent / "migrations"],
        jobs=jobs(settings),
        measures=MEASURES,
        room=partial(room, undecided_limit=settings.undecided_limit),
        answer_malformed=answer_malformed,
    )


def answer_malformed(document: Malformed) -> list[Said]:
    """Reject an unreadable document, if it can be recognised as a request."""
    if not _is_request(document):
        return []
    detail = f"{document.reason}: {document.detail}"[:500]
    message, to = words.rejection(document.order_id, document.message_id, "malformed", detail)
    return [Said(message, to)]


def _is_request(document: Malformed) -> bool:
    if document.wire_type is not None:
        return REQUEST.match(document.wire_type) is not None
    # Whatever came in on the queue of orders was published under the key of an OrderRequested.
    return document.queue == queue_name(NAME, INTAKE) or REQUEST_IN_BYTES.search(document.body) is not None
