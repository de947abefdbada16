"""What the order saga reads from the environment, beyond what every service does."""

from datetime import timedelta
from typing import Annotated, Self

from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict

from messages.transport.settings import DAY_SECONDS, TEN_YEARS_SECONDS, Interval, Seconds
from messages.transport.settings import Settings as TransportSettings
from order_saga.state import Policy

LEASE_MARGIN_SECONDS = 5.0
"""How much longer than the budget a lease must be: for clock skew, and an Assign that waits for a lock."""


class Settings(TransportSettings):
    """`ORDER_SAGA_BUDGET_SECONDS` and so on."""

    model_config = SettingsConfigDict(env_prefix="ORDER_SAGA_")

    undecided_limit: Annotated[int, Field(ge=0, le=1_000_000)] = 2_000
    """New orders are taken only while fewer than this many are undecided. 0 drains: what is accepted is decided, and
    requests stay in their queue."""
    budget_seconds: Seconds = 15.0
    """From acceptance to the latest decision; a client's own deadline can only be earlier."""
    lease_seconds: Annotated[int, Field(ge=1, le=86_400)] = 30
    """How long a participant holds what is reserved and not yet assigned."""
    repeat_base_seconds: Seconds = 2.0
    """Unanswered commands are first repeated after this, then after random times below twice as much, and so on."""
    repeat_cap_seconds: Seconds = 30.0
    release_cap_seconds: Seconds = 600.0
    """The cap for Release, which no customer waits for; larger, because a participant that was down must work off every
    repeat before it takes new orders."""
    alarm_after_repeats: Annotated[int, Field(ge=1)] = 6
    """About a minute, with these times."""
    due_interval_seconds: Interval = 0.5
    """How often deadlines are checked."""
    repeat_interval_seconds: Interval = 2.0
    """How often unanswered commands are checked."""
    remember_seconds: Annotated[float, Field(gt=0, le=TEN_YEARS_SECONDS)] = DAY_SECONDS
    """How long an order's content is kept after the order is done."""
    forget_interval_seconds: Interval = 60.0

    @property
    def policy(self) -> Policy:
        return Policy(
            budget=timedelta(seconds=self.budget_seconds),
            lease_seconds=self.lease_seconds,
            repeat_base=timedelta(seconds=self.repeat_base_seconds),
            repeat_cap=timedelta(seconds=self.repeat_cap_seconds),
            release_cap=timedelta(seconds=self.release_cap_seconds),
            alarm_after_repeats=self.alarm_after_repeats,
        )

    @model_validator(mode="after")
    def _a_lease_outlives_the_budget(self) -> Self:
        least = self.budget_seconds + LEASE_MARGIN_SECONDS
        if self.lease_seconds < least:
            raise ValueError(
                f"ORDER_SAGA_LEASE_SECONDS: {self.lease_seconds} is too short; it must be at least {least:g}, "
                f"which is ORDER_SAGA_BUDGET_SECONDS and a margin of {LEASE_MARGIN_SECONDS:g}"
            )
        return self
