"""Which release is running, by the metadata of the installed package."""

from functools import cache
from importlib.metadata import PackageNotFoundError, version

PACKAGE = "order-saga"
UNKNOWN = "unknown"


@cache
def release() -> str:
    """`0.1.0`; or `unknown`, if it runs from a checkout that is not installed."""
    try:
        return version(PACKAGE)
    except PackageNotFoundError:
        return UNKNOWN
