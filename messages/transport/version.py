"""Which version is running, by the metadata of the installed package."""

from functools import cache
from importlib import metadata

PACKAGE = "order-saga"
UNKNOWN = "unknown"


@cache
def version() -> str:
    """`0.1.0`; or `unknown`, if it runs from a checkout that is not installed."""
    try:
        return metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        return UNKNOWN
