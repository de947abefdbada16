"""What is no strict JSON, or not finite, or has a NUL in it, is refused wherever that stands."""

import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from messages.transport import strict_json
from messages.transport.strict_json import Unreadable, may_be_extreme
from tests.unit.document.documents import ORDER_ID, TRACE, accepted, any_json, body, fields, line, refused, spliced


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b" \n", id="blank"),
        pytest.param(b"\xef\xbb\xbf" + body(), id="byte order mark"),
        pytest.param(body().decode().encode("utf-16"), id="UTF-16"),
        pytest.param(spliced(b'"note":"caf\xe9"'), id="Latin-1"),
        pytest.param(spliced(b'"note":"\xc0\x80"'), id="overlong UTF-8"),
        pytest.param(spliced(b'"note":"\xed\xa0\x80"'), id="surrogate in UTF-8"),
        pytest.param(spliced(rb'"note":"\ud800"'), id="lone high surrogate"),
        pytest.param(spliced(rb'"note":"\udc00x"'), id="lone low surrogate"),
        pytest.param(spliced(rb'"\ud800":1'), id="lone surrogate in a key"),
        pytest.param(spliced(b'"note":"\x00"'), id="raw NUL"),
        pytest.param(spliced(b'"note":"\x1f"'), id="raw control character"),
        pytest.param(body() + b"x", id="trailing garbage"),
        pytest.param(body() + body(), id="two objects"),
        pytest.param(body() + b"\x00", id="trailing NUL"),
        pytest.param(body()[:-1], id="cut short"),
        pytest.param(b"{'type': 'x'}", id="single quotes"),
        pytest.param(spliced(b'"note":NaN'), id="NaN"),
        pytest.param(spliced(b'"note":Infinity'), id="Infinity"),
        pytest.param(spliced(b'"note":-Infinity'), id="-Infinity"),
        pytest.param(spliced(b'"note":01'), id="leading zero"),
        pytest.param(spliced(b'"note":' + b"9" * 60_000), id="an integer of 60,000 digits"),
        pytest.param(b'{"a":' * 10_000, id="10,000 levels, open"),
        pytest.param(spliced(b'"note":' + b"[" * 10_000 + b"]" * 10_000), id="10,000 levels, closed"),
    ],
)
def test_what_is_no_strict_json_is_refused(document: bytes) -> None:
    assert refused(document).reason == "not_json"


@pytest.mark.parametrize(
    "text",
    [
        b'"zone":"Z-2"',
        b'"z\\u006fne":"Z-2"',
        b'"note":{"a":1,"a":1}',
        b'"note":[{"b":{"c":1,"c":2}}]',
    ],
)
def test_a_duplicate_key_is_refused_at_any_level(text: bytes) -> None:
    read = refused(spliced(text))
    assert read.reason == "not_json"
    assert "duplicate key" in read.detail


def test_of_a_duplicate_key_only_so_much_is_told() -> None:
    """It goes into the log, too."""
    key = b'"%s":1' % (b"x" * 20_000)
    assert len(refused(spliced(key + b"," + key)).detail) == 200


@pytest.mark.parametrize(
    "number",
    [
        b"1e999",
        b"-1e999",
        b"[1E+400]",
        b"[1,1.5e0309]",
        b"12345e307",
        b"1" + b"0" * 300 + b"e9",
        b"1" + b"0" * 309 + b".0",
        b"-1" + b"0" * 400 + b".5",
        b"1" + b"0" * 200 + b"." + b"0" * 200 + b"e180",
    ],
)
def test_a_number_too_large_to_be_finite_is_refused(number: bytes) -> None:
    assert refused(spliced(b'"note":%s' % number)).reason == "not_finite"


@pytest.mark.parametrize("number", [b"1e30", b"1e-999", b"-0.0", b"1.5E+5", b"123456789012345678901234567890"])
def test_a_finite_number_in_an_unknown_field_is_tolerated(number: bytes) -> None:
    accepted(spliced(b'"note":%s' % number))


@pytest.mark.parametrize("text", [b'"note":"a\\u0000b"', b'"a\\u0000b":1', b'"note":[{"x":["\\u0000"]}]'])
def test_an_escaped_nul_is_refused_wherever_it_stands(text: bytes) -> None:
    assert refused(spliced(text)).reason == "nul_character"


def test_a_backslash_before_u0000_is_no_nul() -> None:
    accepted(spliced(rb'"note":"\\u0000"'))


def test_a_nul_in_the_type_is_refused() -> None:
    read = refused(body(type="OrderRequested/1.0\x00"))
    assert (read.reason, read.wire_type, read.order_id) == ("no_type", "OrderRequested/1.0?", UUID(ORDER_ID))


@pytest.mark.parametrize("document", [b"[]", b"1", b"null", b'"x"', b"[%s]" % body()])
def test_what_is_not_an_object_is_refused(document: bytes) -> None:
    assert refused(document).reason == "not_an_object"


nested: st.SearchStrategy[Any] = st.recursive(
    st.just([]), lambda inner: st.lists(inner, max_size=2) | st.fixed_dictionaries({"[": inner})
)


@given(
    (any_json | nested).map(json.dumps), st.sampled_from(["1e999", "-1E999", "1" + "0" * 310 + ".5", "[[[[[[[1]]]]]]]"])
)
@settings(max_examples=300)
def test_what_no_stranger_may_send_is_looked_at_closely(note: str, instead: str) -> None:
    document = spliced(b'"note":' + note.replace("NaN", instead).replace("Infinity", instead).encode())
    if is_extreme(document):
        assert may_be_extreme(document)


def is_extreme(document: bytes) -> bool:
    try:
        strict_json._walk(strict_json.parse(document), depth=1)
    except Unreadable as error:
        return error.reason != "not_json"
    return False


@pytest.mark.parametrize(
    "document",
    [
        *(body(), body(traceparent=TRACE), body(lines=[line(f"sku-{number}", colour="e.E}]") for number in range(50)])),
        *(json.dumps(fields(), indent=2).encode(), spliced(b'"note":[[[[[1]]]]]')),
    ],
)
def test_what_is_honest_is_spared_the_close_look(document: bytes) -> None:
    assert not may_be_extreme(document)
