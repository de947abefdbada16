"""What is much the same again and again is logged once in a while, however long it goes on."""

from types import SimpleNamespace

import pytest

from messages.transport import log_throttle
from messages.transport.log_throttle import FailureThrottle, KindThrottle


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(log_throttle, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def test_of_each_kind_one_is_logged_in_a_while_with_how_many_were_left_out_since(clock: SimpleNamespace) -> None:
    throttle, logged = KindThrottle(), dict[float, int]()
    for clock.now in range(25):
        left_out = throttle.suppressed("one", "kind")
        if left_out is not None:
            logged[clock.now] = left_out
    assert logged == {0: 0, 10: 9, 20: 9}
    assert throttle.suppressed("another", "kind") == 0


def test_a_failure_that_goes_on_is_logged_again_once_in_a_while(clock: SimpleNamespace) -> None:
    throttle, logged = FailureThrottle(), list[float]()
    for clock.now in range(70):
        if throttle.should_log("job", ValueError("again")):
            logged.append(clock.now)
    assert logged == [0, 30, 60]


def test_failures_that_take_turns_are_each_logged_once_in_a_while(clock: SimpleNamespace) -> None:
    throttle, logged = FailureThrottle(), list[float]()
    for clock.now in range(70):
        if throttle.should_log("job", OSError(("refused", "starting up")[clock.now % 2])):
            logged.append(clock.now)
    assert logged == [0, 1, 30, 31, 60, 61]
