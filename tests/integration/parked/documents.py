"""Documents that cannot be read, as they are parked."""

from uuid import UUID, uuid4

from messages.transport.incoming import Malformed


def malformed(
    message_id: UUID | None = None,
    *,
    body: bytes = b"{}",
    reason: str = "invalid",
    detail: str = "",
    wire_type: str | None = None,
    from_outside: bool = False,
) -> Malformed:
    return Malformed(body, message_id or uuid4(), reason, detail, wire_type, from_outside=from_outside)
