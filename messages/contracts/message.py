"""What every message has in common: it is immutable and travels under a name with a version."""

import re
from datetime import UTC, datetime
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

# Patterns exclude control characters, so neither a log line nor a text column can be broken by one.
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$")]
Reason = Annotated[str, Field(pattern=r"^[a-z][a-z_]{0,63}$")]
ParticipantName = Annotated[str, Field(pattern=r"^[a-z][a-z_]{0,31}$")]


def _that_exists_in_utc(time: datetime) -> datetime:
    try:
        time.astimezone(UTC)
    except OverflowError:
        raise ValueError("must lie in the years 1 to 9999 of UTC") from None
    return time


GivenTime = Annotated[AwareDatetime, AfterValidator(_that_exists_in_utc)]
"""A time from a client. Refuses what no database could keep: the last hours of 9999 in a zone behind UTC, say."""


class Contract(BaseModel):
    """Strict about types, tolerant of fields that a later minor version may add."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", allow_inf_nan=False)


class Message(Contract):
    """A command or a fact. Ids, causation and trace travel beside it, in the document that carries it."""

    VERSION: ClassVar[str] = "1.0"
    FROM_OUTSIDE: ClassVar[bool] = False
    """Published by clients one document a message, on the `requests` exchange."""
    TO_OUTSIDE: ClassVar[bool] = False
    """Published for clients one document a message, on the `outcomes` exchange."""
    ABOUT_AN_ORDER: ClassVar[bool] = False
    """Each message of this type is about exactly one order; others may name one in passing."""

    order_id: UUID | None = None

    @classmethod
    def wire_type(cls) -> str:
        """`OrderRequested/1.0`: readers of 1.x accept every 1.y; another major is another message."""
        return f"{cls.__name__}/{cls.VERSION}"

    @classmethod
    def routing_key(cls) -> str:
        """`order_requested`: the key of the message on a topic exchange."""
        return re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()


class OrderMessage(Message):
    """A message about exactly one order."""

    ABOUT_AN_ORDER: ClassVar[bool] = True

    order_id: UUID
