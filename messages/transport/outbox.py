"""What a transaction wants said: kept as envelopes with it, published after it, deleted once confirmed."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import jiter

from messages.transport.addresses import OUTCOMES, Address
from messages.transport.broker import MANY_DOCUMENTS, ONE_DOCUMENT, Envelope
from messages.transport.document import write
from messages.transport.service import Note, Said, Transaction

ENVELOPE_DOCUMENTS = 500
ENVELOPE_BYTES = 1_048_576


@dataclass(frozen=True, slots=True)
class Row:
    """One outbox row: documents for one address, one a line."""

    to: Address
    body: bytes
    documents: int
    id: int = 0


def pack(said: Iterable[Said]) -> list[Row]:
    """Group documents by address, in order, into rows of at most 500 documents and 1 MiB."""
    by_address: defaultdict[Address, list[bytes]] = defaultdict(list)
    for each in said:
        by_address[each.to].append(write(each))
    return [row for address, documents in by_address.items() for row in _rows(address, documents)]


def _rows(address: Address, documents: Sequence[bytes]) -> Iterable[Row]:
    start, size = 0, 0
    for position, document in enumerate(documents):
        if position > start and (position - start == ENVELOPE_DOCUMENTS or size + len(document) > ENVELOPE_BYTES):
            yield Row(address, b"\n".join(documents[start:position]), position - start)
            start, size = position, 0
        size += len(document) + 1
    yield Row(address, b"\n".join(documents[start:]), len(documents) - start)


def envelopes(row: Row) -> list[Envelope]:
    """The AMQP messages of a row: one for our own services, one a document for the world outside."""
    if row.to.exchange == OUTCOMES:
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
    WITH gone AS (DELETE FROM outbox WHERE id = ANY ($1::bigint[])),
    told AS (
        INSERT INTO timeline (order_id, at, event, detail, message_id)
        SELECT order_id, clock_timestamp(), event, detail, message_id
        FROM unnest($2::uuid[], $3::text[], $4::text[], $5::uuid[]) AS note (order_id, event, detail, message_id)
    )
    INSERT INTO outbox (exchange, key, body, documents, publish_after)
    SELECT exchange, key, body, documents, clock_timestamp() + make_interval(secs => $10)
    FROM unnest($6::text[], $7::text[], $8::bytea[], $9::integer[]) WITH ORDINALITY
        AS said (exchange, key, body, documents, position)
    ORDER BY position
    RETURNING id
"""


async def keep(
    tx: Transaction, rows: Sequence[Row], story: Sequence[Note], confirmed: Collection[int], relay_after_seconds: float
) -> list[Row]:
    """Keep what is to be said and told, and delete what was confirmed; return the rows with their ids."""
    ids = await tx.fetch(
        KEEP,
        list(confirmed),
        [note.order_id for note in story],
        [note.event for note in story],
        [note.detail for note in story],
        [note.message_id for note in story],
        [row.to.exchange for row in rows],
        [row.to.key for row in rows],
        [row.body for row in rows],
        [row.documents for row in rows],
        relay_after_seconds,
    )
    return [Row(row.to, row.body, row.documents, kept["id"]) for row, kept in zip(rows, ids, strict=True)]


async def claim_overdue(tx: Transaction, limit: int, relay_after_seconds: float) -> list[Row]:
    """Take over what a crash left unsaid, by moving it; nothing is locked while it is being published."""
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


async def delete(tx: Transaction, ids: Collection[int]) -> None:
    await tx.execute("DELETE FROM outbox WHERE id = ANY ($1::bigint[])", list(ids))
