"""When a batch had better wait a moment for more, and when it must not."""

import pytest

from messages.transport.pacing import APART_SECONDS, Pace


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pace(clock: Clock) -> Pace:
    return Pace(clock)


def hear(pace: Pace, clock: Clock, *, documents: int, every_seconds: float, for_seconds: float) -> None:
    """Ends at the moment at which a batch has begun."""
    pace.begin(documents)
    for _ in range(round(for_seconds / every_seconds)):
        clock.now += every_seconds
        pace.begin(documents)


def test_the_first_batch_waits_for_nobody(pace: Pace) -> None:
    assert pace.wait_seconds() == 0.0


def test_where_little_comes_nobody_waits(pace: Pace, clock: Clock) -> None:
    hear(pace, clock, documents=2, every_seconds=0.008, for_seconds=2.0)
    assert pace.wait_seconds() == 0.0


def test_under_load_the_next_batch_waits_for_the_rest_of_the_time(pace: Pace, clock: Clock) -> None:
    hear(pace, clock, documents=5, every_seconds=0.004, for_seconds=2.0)
    clock.now += 0.002
    assert pace.wait_seconds() == pytest.approx(APART_SECONDS - 0.002)


def test_after_a_batch_that_took_long_the_next_one_begins_at_once(pace: Pace, clock: Clock) -> None:
    hear(pace, clock, documents=200, every_seconds=0.05, for_seconds=2.0)
    clock.now += 0.05
    assert pace.wait_seconds() == 0.0


def test_a_load_that_is_over_is_forgotten(pace: Pace, clock: Clock) -> None:
    hear(pace, clock, documents=5, every_seconds=0.004, for_seconds=2.0)
    clock.now += 1.0
    pace.begin(1)
    assert pace.wait_seconds() == 0.0


def test_one_large_batch_is_a_load(pace: Pace) -> None:
    pace.begin(500)
    assert pace.wait_seconds() == pytest.approx(APART_SECONDS)
