"""When reports have their turn: in the time that messages about orders leave, and in a tenth of the time at least."""

import time
from collections.abc import Callable

from messages.transport.batches.taken import Taken, take
from messages.transport.broker import Subscription

DOCUMENTS = 100
SIZE_BYTES = 65_536
"""Of a batch: as much as one document may have. A thousand packets take some tens of milliseconds."""
PREFETCH = 200
"""Of documents of 64 KiB each, 13 MB. With a lower one all queues would be acknowledged more often."""
REST = 9.0
LONGEST_REST_SECONDS = 1.0


class Reports:
    """The queue of what suppliers and the fleet report. However much that is, no order waits longer than for a batch.

    A batch has nothing but reports. While anything else has arrived, the next one comes after nine times as long as the
    last one took, and after a second at most.
    """

    def __init__(self, subscription: Subscription, clock: Callable[[], float] = time.monotonic) -> None:
        self.subscription = subscription
        self._clock = clock
        self._began_at = clock()
        # Not at once: if a report kills the process time and again, other messages are handled in between.
        self._due_at = self._began_at + LONGEST_REST_SECONDS

    @property
    def have_arrived(self) -> bool:
        return bool(self.subscription.arrived)

    @property
    def are_due(self) -> bool:
        """Whether they have rested for long enough to be taken before anything else."""
        return self.have_arrived and self._clock() >= self._due_at

    def take(self) -> list[Taken]:
        self._began_at = self._clock()
        return take(self.subscription, DOCUMENTS, SIZE_BYTES)

    def rest(self) -> None:
        """A batch of them is finished."""
        now = self._clock()
        self._due_at = now + min(LONGEST_REST_SECONDS, REST * (now - self._began_at))
