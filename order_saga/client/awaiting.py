"""Which requests are unanswered, when to repeat them, and what an outcome answers. No I/O and no clock."""

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import TypeAlias
from uuid import UUID

from messages.contracts.message import Message
from messages.contracts.order import CancelOrder, OrderNotPlaced, OrderPlaced, OrderRequested, RequestRejected
from messages.transport.backoff import Backoff
from messages.transport.edge.outcomes import Outcome
from messages.transport.edge.requests import Request

REPEAT_CAP_SECONDS = 30.0
REMEMBERED = 100_000
"""Turns that are over. What their requests cause may arrive later, but not that much later."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, and its line in the input; 0 if it was not read from any."""

    line: int
    request: Request

    @property
    def order_id(self) -> UUID:
        assert self.request.message.order_id is not None, "only requests about orders are placed"
        return self.request.message.order_id


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a request; `outcome` is None if none was received."""

    asked: Asked
    outcome: Message | None
    seconds: float

    @property
    def is_success(self) -> bool:
        """The order is placed, or cancelled, as was asked for."""
        wanted = OrderNotPlaced if isinstance(self.asked.request.message, CancelOrder) else OrderPlaced
        return isinstance(self.outcome, wanted)


Turn: TypeAlias = tuple[UUID, type[Message]]
"""Requests of one kind about one order are published one after the other."""


@dataclass(slots=True)
class _Open:
    asked: Asked
    since: float
    publish_at: float
    backoff: Backoff
    another_went_before: bool
    """Outcomes of the earlier request may still arrive, so only one that this request caused counts."""


@dataclass(slots=True)
class Awaiting:
    """All open requests. Times are seconds of any monotonic clock."""

    timeout_seconds: float
    repeat_seconds: float = 3.0
    _open: dict[Turn, _Open] = field(default_factory=dict)
    _queued: dict[Turn, deque[Asked]] = field(default_factory=dict)
    _over: OrderedDict[Turn, None] = field(default_factory=OrderedDict)

    def __len__(self) -> int:
        return len(self._open) + sum(map(len, self._queued.values()))

    def add(self, asked: Asked, now: float) -> None:
        """Open a request, at once or as soon as those before it about the same order are answered."""
        turn = _turn(asked)
        if turn in self._open:
            self._queued.setdefault(turn, deque()).append(asked)
        else:
            self._begin(asked, now)

    def due_requests(self, now: float) -> list[Request]:
        """The requests to publish now, for the first time or again."""
        due = [each for each in self._open.values() if each.publish_at <= now]
        for each in due:
            each.publish_at = now + each.backoff.next_seconds()
        return [each.asked.request for each in due]

    def next_at(self) -> float | None:
        """When a request is to be repeated, or given up; None: none is open."""
        return min((min(each.publish_at, self._ends_at(each)) for each in self._open.values()), default=None)

    def receive(self, outcome: Outcome, now: float) -> list[Result]:
        """What this outcome answers; nothing, if it is about another client's requests."""
        return [self._end(turn, outcome.message, now) for turn in self._about(outcome) if self._answers(outcome, turn)]

    def give_up(self, now: float) -> list[Result]:
        """Close the requests without an outcome in time."""
        late = [turn for turn, each in self._open.items() if self._ends_at(each) <= now]
        return [self._end(turn, None, now) for turn in late]

    def unanswered(self, now: float) -> list[Result]:
        return [Result(each.asked, None, now - each.since) for each in self._open.values()]

    def _begin(self, asked: Asked, now: float) -> None:
        turn, backoff = _turn(asked), Backoff(base_seconds=self.repeat_seconds, cap_seconds=REPEAT_CAP_SECONDS)
        self._open[turn] = _Open(asked, now, now, backoff, another_went_before=turn in self._over)

    def _end(self, turn: Turn, outcome: Message | None, now: float) -> Result:
        ended = self._open.pop(turn)
        self._remember(turn)
        if turn in self._queued:
            self._begin(self._queued[turn].popleft(), now)
            if not self._queued[turn]:
                del self._queued[turn]
        return Result(ended.asked, outcome, now - ended.since)

    def _remember(self, turn: Turn) -> None:
        self._over[turn] = None
        if len(self._over) > REMEMBERED:
            self._over.popitem(last=False)

    def _ends_at(self, each: _Open) -> float:
        return each.since + self.timeout_seconds

    def _about(self, outcome: Outcome) -> list[Turn]:
        match outcome.message:
            case RequestRejected(request_message_id=message_id):
                return [turn for turn, each in self._open.items() if each.asked.request.message_id == message_id]
            case OrderPlaced(order_id=order_id):
                return [(order_id, OrderRequested)]
            case OrderNotPlaced(order_id=order_id):
                return [(order_id, OrderRequested), (order_id, CancelOrder)]
        return []

    def _answers(self, outcome: Outcome, turn: Turn) -> bool:
        each = self._open.get(turn)
        if each is None:
            return False
        if isinstance(outcome.message, RequestRejected) or not each.another_went_before:
            return True
        return outcome.causation_id == each.asked.request.message_id


def _turn(asked: Asked) -> Turn:
    return asked.order_id, type(asked.request.message)
