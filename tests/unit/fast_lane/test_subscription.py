"""A subscription acknowledges nothing on a channel that it has given up, and consumes nothing once it is stopped."""

import asyncio
from unittest.mock import AsyncMock, Mock

import pytest

from messages.transport.backoff import Backoff
from messages.transport.rabbitmq import channel_consumer, connection, subscription
from messages.transport.rabbitmq.connection import CALL_SECONDS
from tests.unit.fast_lane.subscribing import Channel, be_silent, paused, subscribed, turns, widening


async def test_what_waits_to_be_acknowledged_is_so_once_the_prefetch_is_lifted() -> None:
    reader, channel, acknowledging = await widening()
    channel.widens.set()
    await acknowledging
    assert len(channel.sent) == 1
    await reader.close()


async def test_what_waits_to_be_acknowledged_is_not_once_its_consumer_is_lost() -> None:
    """RabbitMQ ends the whole connection for an acknowledgement on a channel that is closed already."""
    reader, channel, acknowledging = await widening()
    for told in channel.underlay.on_consumer_cancel_callbacks:
        told(Mock())
    await asyncio.wait_for(acknowledging, CALL_SECONDS / 2)
    assert not channel.sent
    await reader.close()


async def test_what_comes_while_consuming_is_resumed_is_acknowledged_before_that_goes_on() -> None:
    """RabbitMQ 3.10 fails at the tag of a consumer that is used again before."""
    reader, channel = await paused()
    resuming = asyncio.create_task(reader.resume())
    await turns()
    channel.receive_something_harmless(tag=2)
    channel.widens.set()
    await resuming
    assert channel.underlay.basic_consume.await_count == 2
    await reader.acknowledge(reader.arrived[-1])
    assert channel.underlay.basic_consume.await_count == 3
    await reader.close()


async def test_consuming_is_resumed_once_however_many_ask_for_it() -> None:
    """RabbitMQ ends the whole connection for the tag of a consumer that is there already."""
    reader, channel = await paused()
    resuming = asyncio.gather(reader.resume(), reader.resume())
    await turns()
    channel.widens.set()
    await resuming
    assert channel.underlay.basic_consume.await_count == 3
    await reader.close()


async def test_a_subscription_is_closed_though_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_consumer, "CLOSE_SECONDS", 0.01)
    channel = Channel()
    reader = subscribed(AsyncMock(return_value=channel))
    await turns()
    channel.underlay.basic_cancel = channel.underlay.basic_qos = be_silent
    await asyncio.wait_for(reader.close(), 60)


async def test_a_subscription_that_is_stopped_while_its_channel_opens_consumes_nothing() -> None:
    channel, opening, opened = Channel(), asyncio.Event(), asyncio.Event()

    async def open_channel() -> Channel:
        opening.set()
        await opened.wait()
        return channel

    reader = subscribed(open_channel)
    await opening.wait()
    await reader.stop()
    opened.set()
    await turns()
    assert reader.settled
    channel.underlay.basic_consume.assert_not_awaited()
    await reader.close()


async def test_a_subscription_is_settled_once_the_broker_has_granted_it_and_not_when_it_is_asked() -> None:
    """It may refuse: then the service would seem to be ready again and again."""
    channel, granted = Channel(), asyncio.Event()

    async def consume(*_: object, **__: object) -> None:
        await granted.wait()

    channel.underlay.basic_consume = AsyncMock(side_effect=consume)
    reader = subscribed(AsyncMock(return_value=channel))
    await turns()
    channel.underlay.basic_consume.assert_awaited_once()
    assert not reader.settled
    granted.set()
    await turns()
    assert reader.settled
    await reader.close()


async def test_a_consumer_that_is_lost_is_replaced_soon_however_long_the_last_one_took(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    backoff = Backoff(base_seconds=0.0, cap_seconds=0.0)
    monkeypatch.setattr(subscription, "reconnect_backoff", lambda: backoff)
    reader = subscribed(AsyncMock(side_effect=[ConnectionError(), ConnectionError(), Channel()]))
    await turns()
    assert (reader.settled, backoff.tries) == (True, 0)
    await reader.close()


async def test_where_the_prefetch_cannot_be_lifted_a_new_channel_is_consumed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "CALL_SECONDS", 0.01)
    first, second = Channel(), Channel()
    reader = subscribed(AsyncMock(side_effect=[first, second]))
    await turns()
    first.receive_something_harmless()
    async with asyncio.timeout(60):
        while not second.underlay.basic_consume.await_count:  # noqa: ASYNC110  no event tells of it
            await asyncio.sleep(0.01)
    await reader.close()


async def test_a_subscription_that_is_stopped_while_its_prefetch_is_lifted_consumes_no_more() -> None:
    reader, channel, acknowledging = await widening()
    await reader.stop()
    channel.widens.set()
    await acknowledging
    assert channel.underlay.basic_consume.await_count == 1
    await reader.close()
