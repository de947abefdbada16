"""The transport's own migrations, and those that a database has."""

from messages.transport.database.transactions import Transaction

OWN = [
    "messages.transport/0001_create_outbox_parked_and_timeline.sql",
    "messages.transport/0002_write_in_one_statement.sql",
    "messages.transport/0003_compress_outbox_quickly.sql",
    "messages.transport/0004_remember_who_spoke.sql",
    "messages.transport/0005_measure_outbox_and_parked.sql",
    "messages.transport/0006_publish_since_when_envelopes_wait.sql",
    "messages.transport/0007_publish_what_was_applied.sql",
]


async def applied(connection: Transaction) -> list[str]:
    rows = await connection.fetch("SELECT name FROM schema_migrations ORDER BY applied_at, name")
    return [row["name"] for row in rows]
