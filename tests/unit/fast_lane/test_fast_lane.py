"""Frames reach their channel, and the rest reaches aiormq in order, wherever the network splits them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp.commands import Basic
from pamqp.frame import marshal

from messages.transport.rabbitmq.arrivals import CONSUMER
from tests.unit.fast_lane.line import HEARTBEAT, MINE, OTHER, Line, delivery

bodies = st.binary(max_size=50)
pieces = st.integers(1, 4)
taken = st.tuples(st.just("ours"), st.builds(delivery, bodies, pieces=pieces))
foreign = st.one_of(
    st.builds(delivery, bodies, consumer=st.sampled_from(["", "consume", "consumer2"]), pieces=pieces),
    st.builds(delivery, bodies, channel=st.just(OTHER), pieces=pieces),
    st.sampled_from(
        [
            [HEARTBEAT],
            [marshal(Basic.ConsumeOk(CONSUMER), MINE)],
            [marshal(Basic.Cancel(CONSUMER), MINE)],
            [marshal(Basic.QosOk(), OTHER)],
        ]
    ),
)
conversations = st.lists(taken | st.tuples(st.just("theirs"), foreign), max_size=8)


@given(conversations, st.data())
async def test_wherever_the_bytes_are_cut_everything_gets_where_it_belongs(
    conversation: list[tuple[str, list[bytes]]], data: st.DataObject
) -> None:
    said = b"".join(frame for _, frames in conversation for frame in frames)
    cuts = data.draw(st.lists(st.integers(0, len(said)), max_size=12))
    line, whole = Line(), Line()
    line.receive(said, cuts)
    for each in said:
        whole.receive(bytes((each,)))
    expected = [b"".join(frame[7:-1] for frame in frames[2:]) for whose, frames in conversation if whose == "ours"]
    assert line.bodies == whole.bodies == expected
    rest = b"".join(frame for whose, frames in conversation if whose == "theirs" for frame in frames)
    assert (await line.left()).replace(HEARTBEAT, b"") == rest.replace(HEARTBEAT, b"")
    assert (await whole.left()).replace(HEARTBEAT, b"") == rest.replace(HEARTBEAT, b"")


async def test_what_comes_on_other_channels_between_the_frames_of_a_message_does_not_part_them() -> None:
    line = Line()
    mine, other = delivery(b"abcdef", pieces=3), delivery(b"ghijkl", channel=OTHER, pieces=3)
    line.receive(b"".join(frame for pair in zip(mine, other, strict=True) for frame in pair))
    assert line.bodies == [b"abcdef"]
    assert await line.left() == b"".join(other)


async def test_a_message_arrives_though_the_consent_to_consume_comes_after_it() -> None:
    line = Line()
    consent = marshal(Basic.ConsumeOk(CONSUMER), MINE)
    line.receive(b"".join(delivery(b"early")) + consent + b"".join(delivery(b"late", tag=2)))
    assert [(arrival.body, arrival.tag) for arrival in line.arrived] == [(b"early", 1), (b"late", 2)]
    assert await line.left() == consent


async def test_aiormq_hears_a_heartbeat_a_second_while_it_sees_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line()
    clock = line.lane._aiormq_received_at
    monkeypatch.setattr(line.lane, "_now", lambda: clock)
    for _ in range(20):
        line.receive(b"".join(delivery(b"x")))
        clock += 0.25
    something_else = marshal(Basic.QosOk(), OTHER)
    line.receive(something_else)
    clock += 0.75
    line.receive(b"".join(delivery(b"x")))
    assert await line.left() == HEARTBEAT * 4 + something_else


async def test_no_heartbeat_comes_before_the_first_frame_however_slowly_that_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """aiormq would take the heartbeat for the broker's greeting, and give the connection up."""
    line = Line()
    clock = line.lane._aiormq_received_at
    monkeypatch.setattr(line.lane, "_now", lambda: clock)
    first = marshal(Basic.QosOk(), OTHER)
    for each in first:
        clock += 1
        line.receive(bytes((each,)))
    assert await line.left() == first


@pytest.mark.parametrize("nonsense", [b"AMQP\0\0\x09\x01", b"\x01\0\0\0\0\0\x01x?", b"HTTP/1.1 400 Bad Request\r\n"])
async def test_what_is_not_made_of_frames_is_left_to_aiormq_at_once(nonsense: bytes) -> None:
    line = Line()
    line.receive(b"".join(delivery(b"x")) + HEARTBEAT + nonsense)
    assert line.reader._buffer == HEARTBEAT + nonsense  # type: ignore[attr-defined]
    more = b"".join(delivery(b"y"))
    line.receive(more)
    assert line.bodies == [b"x"]
    assert await line.left() == HEARTBEAT + nonsense + more


async def test_a_frame_that_the_end_cuts_short_is_seen_by_aiormq() -> None:
    line = Line()
    line.receive(HEARTBEAT[:5])
    assert await line.left() == HEARTBEAT[:5]
