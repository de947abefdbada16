"""One JSON object, read strictly: nothing that parsers understand differently, nothing unsafe to process or keep."""

import math
from collections.abc import Mapping
from typing import Any

import jiter

DOCUMENT_BYTES = 65_536
OWN_DOCUMENT_BYTES = 524_288
"""For our own services' documents: an order may have 5,000 packets, and its answers name each of them."""
DEPTH = 8

BRACKETS = b"{}[]"
# Outside of strings, only a float has one of these, and the words true and false.
FLOAT_MARKS = b".eE"
UNREMARKABLE = bytes(set(range(256)) - set(b'"' + BRACKETS + FLOAT_MARKS))


class Unreadable(Exception):
    """Why a document cannot be accepted: a code for machines and a sentence for people."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def parse(body: bytes) -> Mapping[str, Any]:
    """One JSON object in UTF-8, without duplicate keys, NaN, Infinity or lone surrogates."""
    if len(body) > OWN_DOCUMENT_BYTES:
        raise too_large(OWN_DOCUMENT_BYTES)
    try:
        parsed = jiter.from_json(body, allow_inf_nan=False, catch_duplicate_keys=True, cache_mode="keys")
    except ValueError as error:
        raise Unreadable("not_json", str(error)[:200]) from None
    if not isinstance(parsed, dict):
        raise Unreadable("not_an_object", "a document is one JSON object")
    return parsed


def beginning(body: bytes) -> Mapping[str, Any]:
    """What can be read of a truncated object: perhaps enough to identify it."""
    try:
        parsed = jiter.from_json(body, allow_inf_nan=False, cache_mode="keys", partial_mode=True)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def refuse_extremes(body: bytes, fields: Mapping[str, Any]) -> None:
    """Refuse what the parser accepts and no client may send: excessive length or depth, NUL, infinite numbers."""
    if len(body) > DOCUMENT_BYTES:
        raise too_large(DOCUMENT_BYTES)
    if may_be_extreme(body):
        _walk(fields, depth=1)


def too_large(allowed_bytes: int) -> Unreadable:
    return Unreadable("too_large", f"larger than the {allowed_bytes} bytes allowed")


def may_be_extreme(body: bytes) -> bool:
    """A cheap check that spares ordinary documents the walk."""
    if b"\\" in body:  # An escape may be a NUL or a quote; without one, every quote begins or ends a string.
        return True
    outside_strings = b"".join(body.translate(None, UNREMARKABLE).split(b'"')[::2])
    nested = outside_strings.replace(b"{}", b"")  # Innermost objects are one level, however many stand side by side.
    return len(nested) > 2 * (DEPTH - 1) or len(nested.translate(None, BRACKETS)) > 0


def _walk(value: object, depth: int) -> None:
    if isinstance(value, str):
        if "\x00" in value:
            raise Unreadable("nul_character", "a string contains U+0000")
    elif isinstance(value, float):
        if math.isinf(value):
            raise Unreadable("not_finite", "a number is out of range")
    elif isinstance(value, dict | list):
        if depth > DEPTH:
            raise Unreadable("too_deep", f"nested deeper than {DEPTH} levels")
        for item in (*value, *value.values()) if isinstance(value, dict) else value:
            _walk(item, depth + 1)
