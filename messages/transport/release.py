"""Which release is running, as whoever installed it knows."""

from functools import cache
from importlib.metadata import PackageNotFoundError, version

PACKAGE = "order-saga"
UNKNOWN = "unknown"


@cache
def release() -> str:
    """`0.1.0`; or `unknown`, where a checkout runs that nobody has installed."""
    try:
        return version(PACKAGE)
    except PackageNotFoundError:
        return UNKNOWN
