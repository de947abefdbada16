"""Documents that could not be handled, kept with their reason until they are replayed or discarded."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from messages.transport.database.transactions import Transaction
from messages.transport.database.writing import rows_changed
from messages.transport.incoming import Malformed
from messages.transport.service import Measure

HANDLER_FAILED = "handler_failed"
DEAD_LETTERED = "dead_lettered"
EXPIRED = "expired"
"""Our own services set no message TTL; a client can."""
FORBIDDEN = "forbidden"
"""A client published what only our own services may, or anything through an exchange or queue of its own making."""

MOST_MEASURED = 10_000
"""More are not counted: an exact number would be of no use."""


@dataclass(frozen=True, slots=True)
class Parked:
    """A row of the table `parked`."""

    id: int
    message_id: UUID
    type: str | None
    order_id: UUID | None
    queue: str
    reason: str
    detail: str
    body: bytes
    parked_at: datetime
    times: int
    replay_requested_at: datetime | None
    from_outside: bool
    """It came from a client, and is judged as such when it is replayed."""


async def park(tx: Transaction, documents: Sequence[Malformed]) -> None:
    """One row per message id: the same document again increments `times`, and the last one is kept."""
    once = {document.message_id: document for document in documents}
    await tx.execute(
        """
        INSERT INTO parked (message_id, type, order_id, queue, reason, detail, body, from_outside)
        SELECT message_id, type, order_id, queue, reason, detail, body, from_outside
        FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::bytea[], $8::boolean[])
            AS bad (message_id, type, order_id, queue, reason, detail, body, from_outside)
        ORDER BY message_id
        ON CONFLICT (message_id) DO UPDATE SET
            times = parked.times + 1, type = excluded.type, order_id = excluded.order_id, queue = excluded.queue,
            reason = excluded.reason, detail = excluded.detail, body = excluded.body,
            from_outside = excluded.from_outside, replay_requested_at = NULL
        """,
        list(once),
        [document.wire_type and _for_a_text_column(document.wire_type) for document in once.values()],
        [document.order_id for document in once.values()],
        [document.queue for document in once.values()],
        [document.reason for document in once.values()],
        [_for_a_text_column(document.detail) for document in once.values()],
        [document.body for document in once.values()],
        [document.from_outside for document in once.values()],
    )


async def parked(tx: Transaction, limit: int = 1_000) -> list[Parked]:
    """The oldest first."""
    rows = await tx.fetch(f"SELECT {COLUMNS} FROM parked ORDER BY id LIMIT $1", limit)  # noqa: S608  constant columns
    return [Parked(**row) for row in rows]


async def count(tx: Transaction, most: int) -> int:
    """How many are parked; counting stops at `most`."""
    number: int = await tx.fetchval("SELECT count(*) FROM (SELECT FROM parked ORDER BY id LIMIT $1) AS counted", most)
    return number


async def find(tx: Transaction, parked_id: int) -> Parked | None:
    row = await tx.fetchrow(f"SELECT {COLUMNS} FROM parked WHERE id = $1", parked_id)  # noqa: S608
    return Parked(**row) if row else None


async def request_replay(tx: Transaction, ids: Sequence[int]) -> int:
    """Mark rows for the running service, which handles them again within seconds. Returns how many."""
    status = await tx.execute(f"{_REPLAY} WHERE id = ANY ($1::bigint[])", list(ids))
    return rows_changed(status)


async def request_replay_of_all(tx: Transaction, reason: str, before: datetime | None) -> int:
    """Mark all with that reason that were parked before then (None: whenever). Returns how many."""
    return rows_changed(await tx.execute(f"{_REPLAY} WHERE {_PARKED_FOR}", reason, before))


async def take_for_replay(tx: Transaction, limit: int, size_bytes: int) -> list[Parked]:
    """The next rows to replay, about so many bytes, and at least one if there is any; locked until they are deleted."""
    rows = await tx.fetch(
        f"""
        WITH next AS MATERIALIZED (
            SELECT {COLUMNS} FROM parked WHERE replay_requested_at IS NOT NULL
            ORDER BY replay_requested_at, id LIMIT $1 FOR UPDATE SKIP LOCKED
        )
        SELECT {COLUMNS} FROM (
            SELECT *, sum(octet_length(body)) OVER (ORDER BY replay_requested_at, id) - octet_length(body) AS before
            FROM next
        ) AS counted
        WHERE before < $2 ORDER BY replay_requested_at, id
        """,  # noqa: S608  constant columns
        limit,
        size_bytes,
    )
    return [Parked(**row) for row in rows]


async def keep_parked(tx: Transaction, parked_id: int, reason: str, detail: str) -> None:
    """Its replay failed: it stays, with the new reason."""
    await tx.execute(
        "UPDATE parked SET times = times + 1, reason = $2, detail = $3, replay_requested_at = NULL WHERE id = $1",
        parked_id,
        reason,
        _for_a_text_column(detail),
    )


async def discard(tx: Transaction, ids: Sequence[int]) -> int:
    """Delete rows for good. Returns how many."""
    status = await tx.execute("DELETE FROM parked WHERE id = ANY ($1::bigint[])", list(ids))
    return rows_changed(status)


async def discard_all(tx: Transaction, reason: str, before: datetime | None) -> tuple[int, int]:
    """Delete for good what clients sent, with that reason and parked before then (None: whenever).

    Returns how many, and how many documents of our own services were kept: those are needed.
    """
    own = f"SELECT count(*) FROM parked WHERE {_PARKED_FOR} AND NOT from_outside"  # noqa: S608  constant condition
    kept: int = await tx.fetchval(own, reason, before)
    status = await tx.execute(f"DELETE FROM parked WHERE {_PARKED_FOR} AND from_outside", reason, before)  # noqa: S608
    return rows_changed(status), kept


# One time for all of a request, so that they are replayed in the order of their ids, wherever in the table they are.
_REPLAY = "UPDATE parked SET replay_requested_at = statement_timestamp()"
_PARKED_FOR = "reason = $1 AND ($2::timestamptz IS NULL OR parked_at < $2)"
OURS = f"reason IN ('{HANDLER_FAILED}', '{DEAD_LETTERED}') OR NOT from_outside"
"""Through our own fault: we gave it up, or one of our own services sent it. A partial index has just these."""
_ALL = f"(SELECT count(*) FROM (SELECT FROM parked ORDER BY id LIMIT {MOST_MEASURED}) AS counted)"  # noqa: S608
_OURS = f"(SELECT count(*) FROM (SELECT FROM parked WHERE {OURS} ORDER BY id LIMIT {MOST_MEASURED}) AS counted)"  # noqa: S608
_COUNTED = f"Parked documents, by whose fault it is; counted up to {MOST_MEASURED}."
MEASURES = (
    Measure("parked_documents", _COUNTED, f"SELECT {_OURS}", (("fault", "ours"),)),
    Measure("parked_documents", _COUNTED, f"SELECT greatest({_ALL} - {_OURS}, 0)", (("fault", "theirs"),)),
)
COLUMNS = (
    "id, message_id, type, order_id, queue, reason, detail, body, parked_at, times, replay_requested_at, from_outside"
)
IS_ANY_TO_REPLAY = "EXISTS (SELECT FROM parked WHERE replay_requested_at IS NOT NULL)"


def _for_a_text_column(text: str) -> str:
    return text.replace("\x00", "\\u0000").encode("utf-8", "replace").decode()[:2_000]
