"""What the broker says on a connection that is not open yet: why it refuses it."""

from aiormq.connection import exception_by_code
from aiormq.exceptions import AMQPError

from messages.transport.rabbitmq.frames import METHOD, REFUSAL_ID, refusal


class FirstFrames:
    """aiormq reports a refusal as a frame that it did not expect, without the broker's words."""

    def __init__(self) -> None:
        self.refused: AMQPError | None = None

    def take(self, kind: int, frames: bytes, start: int, _end: int) -> bool:
        """Only watch: aiormq gets these frames too."""
        if kind == METHOD and frames.startswith(REFUSAL_ID, start):
            self.refused = exception_by_code(refusal(frames, start))
        return False

    def end_of_read(self) -> None:
        """Nothing to do: every frame is looked at as it comes."""
