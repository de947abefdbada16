"""Which line of the script each outcome answers, and whether every order had exactly one. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from uuid import UUID

from deploy.demo.script import Group, Line
from messages.contracts.message import Message
from messages.contracts.order import CancelOrder, OrderNotPlaced, OrderPlaced, OrderRequested, RequestRejected
from order_saga.content import canonical

UNANSWERED = "unanswered"


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a line; `outcome` is None if none was received."""

    line: Line
    outcome: Message | None
    seconds: float

    @property
    def word(self) -> str:
        """`placed`, or the reason why not: `out_of_stock`, `conflict`."""
        match self.outcome:
            case OrderPlaced():
                return "placed"
            case OrderNotPlaced(reason=reason) | RequestRejected(reason=reason):
                return reason
        return UNANSWERED

    @property
    def is_expected(self) -> bool:
        return self.word in self.line.expected if self.line.expected else self.outcome is not None


@dataclass(slots=True)
class Conversation:
    """All lines sent and outcomes received. Times are seconds of any monotonic clock."""

    answers: list[Answer] = field(default_factory=list)
    outcomes: dict[UUID, set[Message]] = field(default_factory=dict)
    """Order -> the different outcomes received of it: one, if all is well."""
    _open: dict[Line, float] = field(default_factory=dict)
    _content: dict[UUID, str] = field(default_factory=dict)

    @property
    def open(self) -> int:
        """How many lines wait for an answer."""
        return len(self._open)

    def say(self, line: Line, now: float) -> None:
        self._open[line] = now
        if isinstance(line.message, OrderRequested):
            # The first request defines an order's content; later ones are repetitions, or conflicts.
            self._content.setdefault(line.message.order_id, canonical(line.message))

    def hear(self, message: Message, now: float) -> list[Answer]:
        """Return what this answers: nothing, if it only repeats an outcome."""
        if isinstance(message, (OrderPlaced, OrderNotPlaced)):
            self.outcomes.setdefault(message.order_id, set()).add(message)
        return [self._close(line, message, now) for line in list(self._answered_by(message))]

    def give_up(self, now: float, seconds: float) -> list[Answer]:
        """Close the lines that have waited for so long."""
        return [self._close(line, None, now) for line, since in list(self._open.items()) if now - since > seconds]

    @property
    def contradictions(self) -> list[UUID]:
        """Orders with different outcomes."""
        return [order_id for order_id, outcomes in self.outcomes.items() if len(outcomes) > 1]

    def missed_groups(self) -> Iterator[tuple[Group, int]]:
        """Groups of which too few orders are placed, or too many; and how many are."""
        for group in sorted({answer.line.group for answer in self.answers if answer.line.group}):
            placed = {
                answer.outcome.order_id
                for answer in self.answers
                if answer.line.group == group and isinstance(answer.outcome, OrderPlaced)
            }
            if len(placed) != group.placed:
                yield group, len(placed)

    def _answered_by(self, message: Message) -> Iterator[Line]:
        for line in self._open:
            match message, line.message:
                case RequestRejected(request_message_id=message_id), _ if message_id == line.message_id:
                    yield line
                    return
                case ((OrderPlaced() | OrderNotPlaced()), OrderRequested() as order):
                    if order.order_id == message.order_id and self._content[order.order_id] == canonical(order):
                        yield line
                case OrderNotPlaced(), CancelOrder() as cancel if cancel.order_id == message.order_id:
                    yield line

    def _close(self, line: Line, outcome: Message | None, now: float) -> Answer:
        answer = Answer(line, outcome, now - self._open.pop(line))
        self.answers.append(answer)
        return answer
