"""What the server has to keep to in every session of a daemon, and the proof that a session has been told."""

from messages.transport.database.transactions import Transaction
from messages.transport.faults import UnfitDatabase

SETTINGS = {
    "jit": "off",
    # Every statement here finds its rows by key or index, however many there are. So one plan is kept for good; it
    # must not be one made while a table was small, which would scan the whole table for ever.
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "plan_cache_mode": "force_generic_plan",
    # A batch reads after it has its locks, and must then see what others committed while it waited for them.
    "default_transaction_isolation": "read committed",
    "lock_timeout": "50ms",
    # A daemon that stands still in mid-batch: the broker hands its messages to another one after about as long, which
    # would then wait for its locks.
    "idle_in_transaction_session_timeout": "15s",
    "statement_timeout": "60s",
}
"""Sent when a session is opened, whatever the role or the database has: without them, statements are slow, are refused
under load, or wait for ever."""

NOT_SET = "SELECT name FROM pg_settings WHERE name = ANY($1) AND source <> 'client' ORDER BY name"


class DroppedSettings(UnfitDatabase):
    """A pooler in between, which does not tell the server what a session is to keep to."""


async def refuse_dropped_settings(connection: Transaction) -> None:
    """Raises DroppedSettings, naming them, if the session is not set to SETTINGS."""
    if dropped := [row["name"] for row in await connection.fetch(NOT_SET, list(SETTINGS))]:
        raise DroppedSettings(f"must lead to PostgreSQL itself: a pooler in between drops {', '.join(dropped)}")
