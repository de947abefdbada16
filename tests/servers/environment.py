"""What a process inherits that is started for a test or a benchmark."""

import os
from collections.abc import Iterable

from messages.transport.edge.connection import VARIABLES
from messages.transport.settings import Settings


def inherited(services: Iterable[str]) -> dict[str, str]:
    """The caller's environment, without what it says to these services of other systems."""
    prefixes = tuple(f"{service.upper()}_" for service in services)
    shared = {name.upper() for name in Settings.SHARED} | set(VARIABLES)
    return {name: value for name, value in os.environ.items() if name not in shared and not name.startswith(prefixes)}
