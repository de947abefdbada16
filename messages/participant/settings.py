"""The settings every participant has."""

from datetime import timedelta

from messages.participant.reservation import Terms
from messages.transport.settings import Seconds, Settings


class ParticipantSettings(Settings):
    """Each worker subclasses it with its own prefix."""

    sweep_interval_seconds: Seconds = 1.0
    inquiry_after_seconds: Seconds = 60.0
    """How long a unit may be assigned before the orchestrator is asked what became of the order."""
    prune_interval_seconds: Seconds = 60.0
    prune_after_seconds: Seconds = 86_400.0
    """How long past a command's `not_after` a finished reservation still answers duplicates."""

    @property
    def terms(self) -> Terms:
        return Terms(timedelta(seconds=self.inquiry_after_seconds), timedelta(seconds=self.prune_after_seconds))
