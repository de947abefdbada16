"""The orders' timeline: one row per batch, one partition per day, created ahead and dropped whole when old."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta

from messages.transport.database.transactions import Transaction
from messages.transport.database.writing import Write
from messages.transport.handled import Alarm, Handled, TimelineEntry

DAYS_AHEAD = 3
ADVISORY_LOCK = 7_305_812_027
ALARM = "Alarm"
"""The timeline event of an alarm about the order."""
RECORD = """
    INSERT INTO timeline (at, order_ids, events, details, message_ids)
    VALUES (clock_timestamp(), $1::uuid[], $2::text, $3::text, $4::text)
"""


def record(timeline: Sequence[TimelineEntry]) -> Iterator[Write]:
    """Write these notes, in order, as one row: each column lists one item a note, the texts one a line."""
    if timeline:
        order_ids, events, details, message_ids = zip(*timeline, strict=True)
        lines = "\n".join(details)
        if lines.count("\n") >= len(timeline):
            lines = "\n".join(detail.replace("\n", " ") for detail in details)
        ids = "\n".join([str(message_id) if message_id else "" for message_id in message_ids])
        yield Write(RECORD, (order_ids, "\n".join(events), lines, ids))


def entries_of(alarms: Sequence[Alarm]) -> list[TimelineEntry]:
    """The timeline notes of alarms that are about an order."""
    return [
        TimelineEntry(
            each.order_id, ALARM, f"{each.name}: {each.detail}", each.cause.message_id if each.cause else None
        )
        for each in alarms
        if each.order_id is not None
    ]


async def rotate_partitions(tx: Transaction, days_kept: int) -> Handled:
    """Create the coming days' partitions and drop the expired ones. One process at a time; the others skip it."""
    if not await tx.fetchval(f"SELECT pg_try_advisory_xact_lock({ADVISORY_LOCK})"):
        return Handled()
    today: date = await tx.fetchval("SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date")
    oldest = today - timedelta(days=days_kept)
    present = set(await _days(tx))
    old = {day for day in present if day < oldest}
    new = {today + timedelta(days=ahead) for ahead in range(DAYS_AHEAD)} - present
    if old or new:
        await _keep_others_out(tx)
    for day in old:
        await tx.execute(f"DROP TABLE timeline_{day:%Y%m%d}")
    for day in sorted(new):
        await _prepare(tx, day)
    await tx.execute("DELETE FROM timeline_otherwise WHERE at < $1::date::timestamp AT TIME ZONE 'UTC'", oldest)
    return Handled()


async def _keep_others_out(tx: Transaction) -> None:
    """Block inserts while partitions change: one already routed would be refused.

    Inserts queue behind this lock request, so it gives up after 500 ms; the next run tries again.
    """
    await tx.execute("SET LOCAL lock_timeout = '500ms'")
    await tx.execute("LOCK TABLE ONLY timeline IN SHARE ROW EXCLUSIVE MODE")


async def _days(tx: Transaction) -> list[date]:
    names = await tx.fetch(
        "SELECT relname AS name FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid"
        " WHERE inhparent = 'timeline'::regclass AND inhrelid <> 'timeline_otherwise'::regclass"
    )
    return [datetime.strptime(row["name"], "timeline_%Y%m%d").replace(tzinfo=UTC).date() for row in names]


async def _prepare(tx: Transaction, day: date) -> None:
    """Create a day's partition, and move into it the day's rows from the default partition `timeline_otherwise`."""
    name, following = f"timeline_{day:%Y%m%d}", day + timedelta(days=1)
    bounds = f"at >= '{day} 00:00+00' AND at < '{following} 00:00+00'"
    await tx.execute(f"CREATE TABLE {name} (LIKE timeline INCLUDING COMPRESSION INCLUDING STORAGE)")
    await tx.execute(
        f"WITH moved AS (DELETE FROM timeline_otherwise WHERE {bounds} RETURNING *)"  # noqa: S608  dates of our own
        f" INSERT INTO {name} SELECT * FROM moved"
    )
    await tx.execute(
        f"ALTER TABLE timeline ATTACH PARTITION {name} FOR VALUES FROM ('{day} 00:00+00') TO ('{following} 00:00+00')"
    )
