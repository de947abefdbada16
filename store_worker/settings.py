"""What the store worker reads from the environment."""

from pydantic_settings import SettingsConfigDict

from messages.participant.settings import ParticipantSettings
from messages.transport.settings import Interval, Seconds


class Settings(ParticipantSettings):
    model_config = SettingsConfigDict(env_prefix="STORE_WORKER_")

    best_before_margin_seconds: Seconds = 3_600.0
    """Packets this near their best-before are not sold any more."""
    retire_interval_seconds: Interval = 60.0
