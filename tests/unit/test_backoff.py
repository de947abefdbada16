"""Waits grow, are capped, and differ from one another."""

from messages.transport.backoff import Backoff


def test_waits_double_up_to_the_cap_with_full_jitter() -> None:
    ceilings = (0.5, 1.0, 2.0, 4.0, 5.0, 5.0)
    for _ in range(200):
        backoff = Backoff(base_seconds=0.5, cap_seconds=5.0)
        for ceiling in ceilings:
            assert ceiling / 10 <= backoff.next_seconds() <= ceiling


def test_many_that_fail_at_once_do_not_come_back_at_once() -> None:
    waits = {Backoff(base_seconds=1.0, cap_seconds=5.0).next_seconds() for _ in range(50)}
    assert len(waits) == 50
    assert max(waits) - min(waits) > 0.3


def test_tries_are_counted_until_a_success() -> None:
    backoff = Backoff(base_seconds=1.0, cap_seconds=60.0)
    for _ in range(5):
        backoff.next_seconds()
    assert backoff.tries == 5
    backoff.reset()
    assert backoff.tries == 0
    assert backoff.next_seconds() <= 1.0


def test_an_outage_of_days_does_not_overflow() -> None:
    backoff = Backoff(base_seconds=0.1, cap_seconds=5.0)
    assert all(backoff.next_seconds() <= 5.0 for _ in range(5_000))
