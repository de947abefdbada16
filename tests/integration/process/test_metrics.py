"""What a process measures of its tables, and of its database's clock."""

import time
from types import SimpleNamespace

import pytest

from messages.transport.batches import stall_guard
from messages.transport.daemon import housekeeping, measuring, process
from tests.integration.process.endpoints import measured, until_measured
from tests.integration.publisher.moody import Moody
from tests.integration.toy.service import FAIL, TELL_ELSEWHERE, bought, numbered
from tests.integration.toy.station import Station
from tests.integration.toy.waiting import until
from tests.servers.server import free_port


@pytest.fixture
def measured_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "MEASURE_SECONDS", 0.2)


@pytest.fixture
def beats_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "BEAT_SECONDS", 0.1)


@pytest.mark.usefixtures("measured_often")
async def test_what_is_parked_is_counted_by_whose_fault_it_is(station: Station) -> None:
    port = free_port()
    await station.publish("bought", b"{")
    await station.publish("bought", b"[")
    await station.say(bought("a", FAIL))
    async with station.running(http_port=port):
        await station.until_count("parked", 3)
        await until_measured(port, 'parked_documents{fault="theirs"} 2.0')
        await until_measured(port, 'parked_documents{fault="ours"} 1.0')
        await station.rows("UPDATE parked SET from_outside = false, reason = 'invalid' WHERE body = '['")
        await until_measured(port, 'parked_documents{fault="ours"} 2.0')


@pytest.mark.usefixtures("measured_often")
async def test_the_outbox_is_measured_as_the_table_has_it_also_what_no_process_knows_of(station: Station) -> None:
    port = free_port()
    async with station.running(http_port=port, relay_interval_seconds=300.0, unconfirmed_rows=7) as running:
        await running.ready()
        await until_measured(port, "outbox_rows 0.0")
        assert "ordersaga_outbox_oldest_seconds 0.0\n" in await measured(port)
        assert "ordersaga_outbox_unconfirmed_rows_limit 7.0\n" in await measured(port)
        await station.rows(
            "INSERT INTO outbox (exchange, key, body, documents, publish_after, kept_at)"
            " SELECT 'outcomes', 'k', '{}', 1, now() + interval '1 day', now() - interval '1 hour' * i"
            " FROM generate_series(0, 2) AS i"
        )
        await until_measured(port, "outbox_rows 3.0")
        oldest = running.process.metrics.registry.get_sample_value("ordersaga_outbox_oldest_seconds")
        assert oldest is not None
        assert 7_200 <= oldest < 7_300


@pytest.mark.usefixtures("measured_often")
async def test_the_offset_of_the_database_s_clock_is_measured(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    async with station.running(http_port=port) as running:
        await running.ready()
        monkeypatch.setattr(measuring, "time", SimpleNamespace(time=lambda: time.time() - 60.0))

        async def is_a_minute() -> bool:
            offset = running.process.metrics.registry.get_sample_value("ordersaga_database_clock_offset_seconds")
            return offset is not None and 55.0 < offset <= 60.0

        await until(is_a_minute)


@pytest.mark.usefixtures("beats_often")
async def test_a_batch_that_does_not_come_to_an_end_is_seen_in_that_consuming_is_paused(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stall_guard, "HELD_SECONDS", 0.1)
    port = free_port()
    async with station.running(http_port=port) as running:
        await running.ready()
        await until_measured(port, "consumers_paused 0.0")
        station.toy.gate.clear()
        await station.say(bought("a"))
        await until_measured(port, "consumers_paused 1.0")
        station.toy.gate.set()
        await until_measured(port, "consumers_paused 0.0")


@pytest.mark.usefixtures("beats_often")
async def test_what_waits_behind_a_batch_is_measured_by_its_queue(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stall_guard, "HELD_SECONDS", 60.0)
    port = free_port()
    async with station.running(http_port=port) as running:
        await running.ready()
        station.toy.gate.clear()
        await station.say(bought("a"))
        await station.toy.entered.wait()
        await station.say(*numbered(3))
        await until_measured(port, 'messages_waiting{queue="toy.bought"} 3.0')
        await until_measured(port, 'messages_waiting{queue="toy.paid"} 0.0')
        station.toy.gate.set()
        await until_measured(port, 'messages_waiting{queue="toy.bought"} 0.0')


@pytest.mark.usefixtures("beats_often")
async def test_what_the_broker_has_not_confirmed_is_measured_except_outcomes(station: Station) -> None:
    port, moody = free_port(), Moody(station.broker)
    async with station.running(moody, http_port=port) as running:
        await running.ready()
        moody.down = True
        await station.say(bought("an outcome"), bought("elsewhere as well", TELL_ELSEWHERE))
        await until_measured(port, "outbox_unconfirmed_rows 1.0")
        moody.down = False
        await until_measured(port, "outbox_unconfirmed_rows 0.0")
