"""When new work had better wait a moment for more, and when it must not."""

import pytest

from messages.transport.batches.pacing import APART, LONGEST_SECONDS, Pace


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
    hear(pace, clock, documents=1, every_seconds=0.01, for_seconds=2.0)
    assert pace.wait_seconds() == 0.0


@pytest.mark.parametrize("documents_per_second", [400, 500, 1_000])
def test_under_load_the_next_waits_the_longer_the_more_comes(
    pace: Pace, clock: Clock, documents_per_second: int
) -> None:
    hear(pace, clock, documents=documents_per_second // 100, every_seconds=0.01, for_seconds=2.0)
    clock.now += 0.002
    apart_seconds = APART * documents_per_second**2
    assert pace.wait_seconds() == pytest.approx(apart_seconds - 0.002, rel=0.2)


def test_nobody_waits_for_longer_than_that(pace: Pace, clock: Clock) -> None:
    hear(pace, clock, documents=500, every_seconds=0.05, for_seconds=2.0)
    assert pace.wait_seconds() == pytest.approx(LONGEST_SECONDS)


def test_after_a_batch_that_took_long_the_next_one_begins_at_once(pace: Pace, clock: Clock) -> None:
    hear(pace, clock, documents=200, every_seconds=0.2, for_seconds=2.0)
    clock.now += 0.2
    assert pace.wait_seconds() == 0.0


def test_a_load_that_is_over_is_forgotten(pace: Pace, clock: Clock) -> None:
    hear(pace, clock, documents=5, every_seconds=0.004, for_seconds=2.0)
    clock.now += 1.5
    pace.begin(1)
    assert pace.wait_seconds() == 0.0


def test_one_large_batch_is_a_load(pace: Pace) -> None:
    pace.begin(1_000)
    assert pace.wait_seconds() == pytest.approx(LONGEST_SECONDS)
