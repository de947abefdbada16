"""A pooler in front of PostgreSQL that ignores what a session is to be set to, as PgBouncer may be told to."""

import struct

from tests.integration.network import Network

HEADER = struct.Struct("!ii")
PROTOCOL_3 = 196_608
PASSED_ON = (b"user", b"database", b"client_encoding")


class Pooler(Network):
    def _passed_on(self, data: bytes) -> bytes:
        """A StartupMessage without most of its parameters; anything else as it came."""
        if len(data) <= HEADER.size or HEADER.unpack_from(data) != (len(data), PROTOCOL_3):
            return data
        said = iter(data[HEADER.size :].split(b"\0"))
        kept = b"".join(b"%b\0%b\0" % pair for pair in zip(said, said, strict=False) if pair[0] in PASSED_ON) + b"\0"
        return HEADER.pack(HEADER.size + len(kept), PROTOCOL_3) + kept
