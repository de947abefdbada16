"""Only an envelope of our own services holds many documents, one a line."""

import json

import pytest

from messages.transport.broker import MANY_DOCUMENTS, Arrival
from messages.transport.document import documents_in
from messages.transport.provenance import Provenance
from tests.unit.document.documents import accepted, fields, refused


def test_an_envelope_is_a_document_a_line() -> None:
    assert documents_in(arrival(b'{"a":1}\n{"b":2}\n', MANY_DOCUMENTS)) == [b'{"a":1}', b'{"b":2}']
    assert documents_in(arrival(b'{"a":1}\r\n\n{"b":2}', MANY_DOCUMENTS)) == [b'{"a":1}\r', b'{"b":2}']


@pytest.mark.parametrize("provenance", [Provenance.CLIENT, Provenance.UNTRUSTED_ROUTE])
def test_what_a_client_sends_is_one_document_whatever_it_says_of_itself(provenance: Provenance) -> None:
    """64 KiB would be 32,768 documents, each with an answer that is larger than itself."""
    lines = b"1\n" * 32_768
    assert documents_in(arrival(lines, MANY_DOCUMENTS, provenance)) == [lines]


@pytest.mark.parametrize(
    "content_type", [None, "", "application/json", "application/json; charset=utf-8", "text/plain", "APPLICATION/JSON"]
)
def test_what_does_not_say_that_it_is_an_envelope_is_one_document(content_type: str | None) -> None:
    pretty = json.dumps(fields(), indent=2).encode()
    assert documents_in(arrival(pretty, content_type)) == [pretty]
    accepted(pretty)


@pytest.mark.parametrize("content_type", ["application/x-ndjson", "application/json"])
def test_an_envelope_without_a_document_is_something_to_park(content_type: str) -> None:
    (document,) = documents_in(arrival(b"", content_type))
    assert refused(document).reason == "not_json"


def arrival(body: bytes, content_type: str | None, provenance: Provenance = Provenance.INTERNAL) -> Arrival:
    return Arrival(body, content_type, failures=0, tag=1, epoch=None, provenance=provenance, death=None)
