"""Clocks that are ahead, or have been put back, silence no agent for long."""

from datetime import UTC, datetime

from tests.integration.delivery_worker.messages import NOON, offline, online
from tests.integration.workers import Worker, in_seconds


async def test_a_clock_that_is_far_ahead_silences_nobody_for_long(delivery: Worker) -> None:
    await delivery.hear(online("A-1", at=datetime.max.replace(tzinfo=UTC)), offline("A-2", in_seconds(86_400)))

    ahead = await delivery.query("SELECT said_at <= clock_timestamp() + interval '1 minute' AS bounded FROM agent")
    assert [row["bounded"] for row in ahead] == [True, True]


async def test_what_a_clock_wrote_that_has_been_put_back_counts_as_not_said(delivery: Worker) -> None:
    await delivery.hear(online("A-1", at=NOON), offline("A-2", NOON))
    await delivery.execute("UPDATE agent SET said_at = clock_timestamp() + interval '1 day'")

    before, now = in_seconds(-1), in_seconds(0)
    await delivery.hear(offline("A-1", now), online("A-2", at=now))
    assert await delivery.stock() == {"A-1": "offline", "A-2": "free"}

    await delivery.hear(online("A-1", at=before), offline("A-2", before))
    assert await delivery.stock() == {"A-1": "offline", "A-2": "free"}


async def test_a_clock_that_is_a_little_ahead_puts_its_words_in_order(delivery: Worker) -> None:
    earlier, later = in_seconds(40), in_seconds(50)
    await delivery.hear(online("A-1", at=later))
    await delivery.hear(offline("A-1", earlier))

    assert await delivery.stock() == {"A-1": "free"}


async def test_the_first_time_that_can_be_said_is_before_all_others(delivery: Worker) -> None:
    first = datetime.min.replace(tzinfo=UTC)
    await delivery.hear(online("A-1", at=first), offline("A-2", first))

    await delivery.hear(offline("A-1", first.replace(second=1)), online("A-2", at=first.replace(second=1)))
    await delivery.hear(online("A-1", at=first), offline("A-2", first))

    assert await delivery.stock() == {"A-1": "offline", "A-2": "free"}
