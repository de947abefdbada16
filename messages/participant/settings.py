"""The settings every participant has."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from messages.participant.reservation import Timing
from messages.transport.settings import DAY_SECONDS, TEN_YEARS_SECONDS, Interval, Settings


class ParticipantSettings(Settings):
    """Each worker subclasses it with its own prefix.

    The bounds are those that the audit relies on: it reports sweeps and inquiries that come later, and early pruning.
    """

    new_work_prefetch: Annotated[int, Field(ge=1, le=2_000)] = 100
    """Of envelopes, each of up to 1 MiB: with a thousand of them the daemon would not fit into 512 MB."""
    sweep_interval_seconds: Annotated[float, Field(gt=0, le=10)] = 1.0
    inquiry_after_seconds: Annotated[float, Field(gt=0, le=90)] = 60.0
    """How long a unit may be assigned before the orchestrator is asked what became of the order."""
    prune_interval_seconds: Interval = 60.0
    prune_after_seconds: Annotated[float, Field(ge=DAY_SECONDS, le=TEN_YEARS_SECONDS)] = DAY_SECONDS
    """How long past a command's `not_after` a finished reservation still answers duplicates."""

    @property
    def timing(self) -> Timing:
        return Timing(timedelta(seconds=self.inquiry_after_seconds), timedelta(seconds=self.prune_after_seconds))
