"""The transactional outbox: messages are kept with the transaction, published after it, deleted once confirmed."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from random import getrandbits

import jiter

from messages.transport.addresses import OUTCOMES, Address
from messages.transport.broker import MANY_DOCUMENTS, ONE_DOCUMENT, Envelope
from messages.transport.database.transactions import Transaction
from messages.transport.database.writing import Write
from messages.transport.document import encode, own_fields
from messages.transport.handled import Outgoing
from messages.transport.service import Measure

ENVELOPE_DOCUMENTS = 500
ENVELOPE_BYTES = 1_048_576


@dataclass(frozen=True, slots=True)
class Row:
    """One outbox row: documents for one address, one a line."""

    to: Address
    body: bytes
    documents: int
    id: int = field(default_factory=lambda: getrandbits(63))
    """Random, of 63 bits, so that it need not be read back; a collision is practically impossible."""

    @property
    def public(self) -> bool:
        """Whether it is for clients: outcomes."""
        return self.to.exchange == OUTCOMES


def pack(outgoing: Iterable[Outgoing]) -> list[Row]:
    """Group documents by address, in order, into rows of at most 500 documents and 1 MiB."""
    message, fields = None, b""
    by_address: defaultdict[Address, list[bytes]] = defaultdict(list)
    for each in outgoing:
        if each.message is not message:  # an outcome goes to several addresses, one after the other
            message, fields = each.message, own_fields(each.message)
        by_address[each.to].append(encode(each, fields))
    return [row for address, documents in by_address.items() for row in _rows(address, documents)]


def _rows(address: Address, documents: Sequence[bytes]) -> Iterable[Row]:
    while documents:
        number = _that_fit(documents[:ENVELOPE_DOCUMENTS])
        yield Row(address, b"\n".join(documents[:number]), number)
        documents = documents[number:]


def _that_fit(documents: Sequence[bytes]) -> int:
    """How many of them are at most 1 MiB, one a line; the first in any case."""
    sizes = list(accumulate(map(len, documents)))
    return max(1, bisect_right(range(len(sizes)), ENVELOPE_BYTES, key=lambda breaks: sizes[breaks] + breaks))


def envelopes(row: Row) -> list[Envelope]:
    """The AMQP messages of a row: one for our own services, one per document for clients."""
    if row.public:
        return [_single(row.to, document, mandatory=False) for document in row.body.split(b"\n")]
    if row.documents == 1:
        return [_single(row.to, row.body, mandatory=True)]
    return [Envelope(row.to, row.body, MANY_DOCUMENTS, f"outbox-{row.id}")]


def _single(to: Address, document: bytes, *, mandatory: bool) -> Envelope:
    fields = jiter.from_json(document)
    return Envelope(
        to,
        document,
        ONE_DOCUMENT,
        message_id=fields["message_id"],
        wire_type=fields["type"],
        correlation_id=fields.get("order_id"),
        mandatory=mandatory,
    )


KEEP = """
    INSERT INTO outbox (id, exchange, key, body, documents, publish_after)
    SELECT id, exchange, key, body, documents, clock_timestamp() + make_interval(secs => $6)
    FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bytea[], $5::integer[])
        AS said (id, exchange, key, body, documents)
"""
IS_ANY_OVERDUE = "EXISTS (SELECT FROM outbox WHERE publish_after < statement_timestamp())"
MEASURES = (
    Measure("outbox_rows", "Rows in the outbox table, of all daemons.", "SELECT count(*) FROM outbox"),
    Measure(
        "outbox_oldest_seconds",
        "Age of the oldest row in the outbox table; 0: there is none.",
        "SELECT coalesce(extract(epoch FROM clock_timestamp() - min(kept_at)), 0) FROM outbox",
    ),
)
FORGET = "DELETE FROM outbox WHERE id = ANY ($1::bigint[])"


def keep(rows: Sequence[Row], relay_after_seconds: float) -> Iterator[Write]:
    """Insert these rows; a relay publishes those that are still there after `relay_after_seconds`."""
    if rows:
        columns = zip(*((row.id, *row.to, row.body, row.documents) for row in rows), strict=True)
        yield Write(KEEP, (*columns, relay_after_seconds))


def forget(confirmed: Collection[int]) -> Iterator[Write]:
    if confirmed:
        yield Write(FORGET, (list(confirmed),))


async def claim_overdue(tx: Transaction, limit: int, relay_after_seconds: float) -> list[Row]:
    """Claim rows that a crash left unpublished, by moving their time: nothing is locked while they are published."""
    rows = await tx.fetch(
        """
        WITH overdue AS MATERIALIZED (
            SELECT id FROM outbox WHERE publish_after < statement_timestamp()
            ORDER BY publish_after LIMIT $1 FOR UPDATE SKIP LOCKED
        )
        UPDATE outbox SET publish_after = clock_timestamp() + make_interval(secs => $2)
        FROM overdue WHERE outbox.id = overdue.id
        RETURNING outbox.id, exchange, key, body, documents
        """,
        limit,
        relay_after_seconds,
    )
    return [Row(Address(row["exchange"], row["key"]), row["body"], row["documents"], row["id"]) for row in rows]
