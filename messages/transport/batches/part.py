"""The part of a batch that is handled in one transaction."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Self

from messages.transport.incoming import Incoming, Malformed


@dataclass(slots=True)
class Part:
    """The documents that can be handled, and those that can only be parked; both in order of arrival."""

    readable: list[Incoming] = field(default_factory=list)
    malformed: list[Malformed] = field(default_factory=list)

    @classmethod
    def of(cls, documents: Iterable[Incoming | Malformed]) -> Self:
        part = cls()
        for document in documents:
            if isinstance(document, Incoming):
                part.readable.append(document)
            else:
                part.malformed.append(document)
        return part

    @property
    def documents(self) -> int:
        return len(self.readable) + len(self.malformed)

    def halves(self) -> Iterator["Part"]:
        """What can be handled, in two parts; in one, if it is a single document."""
        middle = (len(self.readable) + 1) // 2
        for half in (self.readable[:middle], self.readable[middle:]):
            if half:
                yield Part(half)
