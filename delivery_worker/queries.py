"""Every SQL statement about agents."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from delivery_worker.allocation import Found
from delivery_worker.shifts import Shift
from messages.participant.allocation import Want
from messages.participant.loss import Lost
from messages.participant.queries import lock_reservations, unit_lock
from messages.transport.database.transactions import Transaction
from messages.transport.database.writing import Write
from messages.transport.service import Measure

IDLE = "agent.order_id IS NULL AND agent.online"
STILL_IDLE = "num_nonnulls(agent.order_id) = 0 AND agent.online"
"""The same, for agents looked up by id, in a form that the index of idle agents does not match."""

UNKNOWN_ZONE = ""
"""The zone of an agent of whom is only known that they are offline. No order can ask for it."""

# Times ahead of our clock are capped at one minute, so a wrong clock cannot suppress later messages for long.
LATEST = "clock_timestamp() + interval '1 minute'"
SAID_AT = f"least(coalesce(shift.at, clock_timestamp()), {LATEST})"
# A time in the row that is even later dates from before the database's clock was set back.
IS_NEWS = f"""(
    agent.said_at IS NULL OR agent.said_at <= excluded.said_at OR agent.said_at > {LATEST}
    OR agent.agent_id = ANY ($3::text[])
)"""
"""SQL: is this message to be applied? $3: the agents whose message has no time, which always is."""


MEASURES = (
    Measure(
        "confirmed_oldest_seconds",
        "How long ago the longest-confirmed agent was confirmed; 0: none is.",
        """
        SELECT coalesce(extract(epoch FROM clock_timestamp() - min((
            SELECT changed_at FROM reservation WHERE reservation.order_id = agent.order_id AND state = 'confirmed'
        ))), 0)
        FROM agent WHERE order_id IS NOT NULL
        """,
    ),
)
"""From the agents, who are few, to their orders: an index of what is confirmed would cost every order a write. Not a
join: before the tables' first ANALYZE, all of the reservations would be read, and compared with each agent."""


async def find_idle(tx: Transaction, wants: Sequence[Want], *, waiting: bool) -> list[Found]:
    """The agents wanted, longest idle first; locked if in a transaction. `waiting`: wait for others' locks."""
    rows = await tx.fetch(
        f"""
        WITH found AS MATERIALIZED (
            SELECT want.*, chosen.agent_ids
            FROM unnest($1::text[], $2::bigint[]) AS want (zone, quantity)
            CROSS JOIN LATERAL (
                SELECT array_agg(agent_id) AS agent_ids FROM (
                    SELECT agent_id FROM agent WHERE agent.zone = want.zone AND {IDLE}
                    ORDER BY zone, idle_since, agent_id LIMIT want.quantity {unit_lock(tx, waiting=waiting)}
                ) AS candidate
            ) AS chosen
        )
        SELECT zone, coalesce(agent_ids, '{{}}'),
            CASE WHEN cardinality(agent_ids) = quantity THEN quantity ELSE (
                SELECT count(*) FROM (
                    SELECT FROM agent WHERE agent.zone = found.zone AND {IDLE} LIMIT quantity
                ) AS idle
            ) END
        FROM found
        """,  # noqa: S608  our own SQL
        [want.shelf[0] for want in wants],
        [want.quantity for want in wants],
    )
    return [Found(*row) for row in rows]


def take(agent_ids: Sequence[str], order_ids: Sequence[UUID], zones: Sequence[str]) -> Write:
    """Give idle agents to orders, if each is still in the zone where they were found."""
    sql = f"""
        UPDATE agent SET order_id = taking.order_id
        FROM unnest(string_to_array($1, ','), $2::uuid[], $3::text[]) AS taking (agent_id, order_id, zone)
        WHERE agent.agent_id = taking.agent_id AND agent.zone = taking.zone AND {STILL_IDLE}
        RETURNING 1
    """  # noqa: S608  our own SQL
    return Write(sql, (",".join(agent_ids), order_ids, zones), len(agent_ids))


def let_go(agent_ids: Sequence[str], order_ids: Sequence[UUID], have_worked: Sequence[bool]) -> Write:
    """Make agents idle again, if these orders have them. Only those who have worked go to the end of the queue."""
    sql = """
        UPDATE agent
        SET order_id = NULL, zone = coalesce(next_zone, zone), next_zone = NULL,
            idle_since = CASE WHEN has_worked THEN clock_timestamp() ELSE idle_since END
        FROM unnest(string_to_array($1, ','), $2::uuid[], $3::boolean[]) AS letting (agent_id, order_id, has_worked)
        WHERE agent.agent_id = letting.agent_id AND agent.order_id = letting.order_id
    """
    return Write(sql, (",".join(agent_ids), order_ids, have_worked))


async def put_online(tx: Transaction, shifts: Sequence[Shift]) -> None:
    """Put agents online, each in their zone, unless newer is known; a busy one changes zones when idle again.

    Also those who have left since: they are to be put offline afterwards.
    """
    await tx.execute(
        f"""
        INSERT INTO agent (agent_id, zone, online, idle_since, said_at)
        SELECT agent_id, zone, true, clock_timestamp(), {SAID_AT}
        FROM unnest($1::text[], $2::timestamptz[], $4::text[]) AS shift (agent_id, at, zone)
        ORDER BY agent_id
        ON CONFLICT (agent_id) DO UPDATE
        SET online = true,
            zone = CASE WHEN agent.order_id IS NULL THEN excluded.zone ELSE agent.zone END,
            next_zone = CASE WHEN agent.order_id IS NULL OR agent.zone = excluded.zone THEN NULL ELSE excluded.zone END,
            idle_since = CASE WHEN agent.online THEN agent.idle_since ELSE excluded.idle_since END,
            said_at = excluded.said_at
        WHERE {IS_NEWS}
        """,  # noqa: S608  our own SQL
        *_columns([(shift.agent_id, shift.zone_at) for shift in shifts]),
        [shift.zone for shift in shifts],
    )


async def lock_holders(tx: Transaction, agent_ids: Sequence[str]) -> set[UUID]:
    """Lock the reservations of orders that have these agents."""
    holders = "SELECT order_id FROM agent WHERE agent_id = ANY ($1::text[]) AND order_id IS NOT NULL"
    return await lock_reservations(tx, holders, agent_ids)


async def lock_agents(tx: Transaction, agent_ids: Sequence[str]) -> None:
    """Lock these agents in the order in which orders lock them: that of `total_demand`, and of `find_idle`."""
    await tx.execute(
        """
        SELECT FROM agent WHERE agent_id = ANY ($1::text[])
        ORDER BY zone COLLATE "C", idle_since, agent_id FOR UPDATE
        """,
        agent_ids,
    )


async def put_offline(tx: Transaction, shifts: Sequence[Shift]) -> list[Lost]:
    """Put agents offline, unless newer is known, also unknown ones.

    Those that an order has stay with it, and are returned.
    """
    # A statement of its own: joined to the next one without an index, each would be compared with each of the others.
    gone_before = await _already_offline(tx, [shift.agent_id for shift in shifts])
    rows = await tx.fetch(
        f"""
        WITH gone AS (
            INSERT INTO agent (agent_id, zone, online, idle_since, said_at)
            SELECT agent_id, $4, false, clock_timestamp(), {SAID_AT}
            FROM unnest($1::text[], $2::timestamptz[]) AS shift (agent_id, at)
            ORDER BY agent_id
            ON CONFLICT (agent_id) DO UPDATE SET online = false, said_at = excluded.said_at
            WHERE {IS_NEWS}
            RETURNING agent_id, order_id
        )
        SELECT agent_id, order_id, state FROM gone LEFT JOIN reservation USING (order_id) WHERE order_id IS NOT NULL
        """,  # noqa: S608  our own SQL
        *_columns([(shift.agent_id, shift.at) for shift in shifts]),
        UNKNOWN_ZONE,
    )
    return [Lost(*row) for row in rows if row["agent_id"] not in gone_before]


async def _already_offline(tx: Transaction, agent_ids: Sequence[str]) -> set[str]:
    """Which of these agents are offline; all that are known are locked."""
    rows = await tx.fetch(
        "SELECT agent_id, online FROM agent WHERE agent_id = ANY ($1::text[]) ORDER BY agent_id FOR UPDATE", agent_ids
    )
    return {row["agent_id"] for row in rows if not row["online"]}


def _columns(told: Sequence[tuple[str, datetime | None]]) -> tuple[list[str], list[datetime | None], list[str]]:
    """The ids of agents, the times of the messages about them, and the ids of those whose message has no time."""
    return [agent_id for agent_id, _ in told], [at for _, at in told], [agent_id for agent_id, at in told if at is None]
