"""How long to wait before the next try: exponential, capped, with full jitter, so that many never come back at once."""

import random

MAX_EXPONENT = 30
"""Caps the exponent: 2.0 ** tries overflows at 1,024."""


class Backoff:
    """Successive waits of one retry loop; `reset` after a success."""

    def __init__(self, *, base_seconds: float, cap_seconds: float) -> None:
        self._base_seconds = base_seconds
        self._cap_seconds = cap_seconds
        self._tries = 0

    @property
    def tries(self) -> int:
        return self._tries

    def next_seconds(self) -> float:
        """Between a tenth of and the whole of base * 2^tries, at most the cap."""
        ceiling = min(self._cap_seconds, self._base_seconds * 2.0 ** min(self._tries, MAX_EXPONENT))
        self._tries += 1
        return ceiling * random.uniform(0.1, 1.0)  # noqa: S311  jitter, not a secret

    def reset(self) -> None:
        self._tries = 0
