"""Whether to wait briefly for the other participants' answers to the same question, to handle them together.

All were asked at the same time, so the second answer is a moment behind the first. Taking both into one batch halves
the work, and the second does not wait until the first is committed.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterable, Sequence
from typing import TypeAlias
from uuid import UUID

from messages.contracts.message import Message
from messages.contracts.participation import Answer, Assigned, Reserved
from messages.transport.incoming import Incoming
from order_saga.participants import PARTICIPANTS

REMEMBERED = 10_000

Question: TypeAlias = tuple[UUID | None, type[Answer]]
"""An order, and what was asked about it, by the kind of answer."""

QUESTIONS: dict[type[Message], type[Answer]] = {
    answer: kind
    for participant in PARTICIPANTS.values()
    for answer in participant.answers
    for kind in (Reserved, Assigned)
    if issubclass(answer, kind)
}
"""Only answers that let an order proceed are worth waiting for: a refusal decides by itself."""


class Gathering:
    """Counts the answers to each open question. Old entries are dropped: a missing one costs a short wait."""

    def __init__(self) -> None:
        self._answered: OrderedDict[Question, int] = OrderedDict()

    def is_incomplete(self, documents: Sequence[Incoming]) -> bool:
        """Whether one of these orders lacks an answer that is probably under way, and waiting delays nothing else."""
        if any(type(incoming.message) not in QUESTIONS for incoming in documents):
            return False
        return any(number < len(PARTICIPANTS) for _, number in self._counted(documents))

    def close(self, documents: Sequence[Incoming]) -> None:
        """These are being handled now, complete or not: what is missing is not waited for again."""
        for question, number in self._counted(documents):
            if number >= len(PARTICIPANTS):
                self._answered.pop(question, None)
            else:
                self._answered[question] = number
        while len(self._answered) > REMEMBERED:
            self._answered.popitem(last=False)

    def _counted(self, documents: Sequence[Incoming]) -> Iterable[tuple[Question, int]]:
        at_hand = Counter(
            (incoming.message.order_id, kind)
            for incoming in documents
            if (kind := QUESTIONS.get(type(incoming.message)))
        )
        return ((question, number + self._answered.get(question, 0)) for question, number in at_hand.items())
