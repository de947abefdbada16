"""The messages between the services, the transport that carries them, and the logic that participants share."""
