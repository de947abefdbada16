"""What the delivery worker reads from the environment."""

from pydantic_settings import SettingsConfigDict

from messages.participant.settings import ParticipantSettings


class Settings(ParticipantSettings):
    model_config = SettingsConfigDict(env_prefix="DELIVERY_WORKER_")
