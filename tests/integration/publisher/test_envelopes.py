"""What a batch says leaves in few envelopes, and an outcome alone, with its cause."""

import json

from tests.integration.publisher.moody import Moody
from tests.integration.toy.service import TELL_ELSEWHERE, bought
from tests.integration.toy.station import Station, document


async def test_a_batch_leaves_in_envelopes_of_500_and_one_outcome_a_document(station: Station, moody: Moody) -> None:
    await station.say(*(bought(str(number), TELL_ELSEWHERE) for number in range(501)))
    async with station.running(moody, batch_documents=5_000, new_work_prefetch=2_000, batch_bytes=16_000_000):
        await station.until_told(501)
        await station.until_count("outbox", 0)
    elsewhere = [body.split(b"\n") for body in await station.left_in("elsewhere")]
    assert [len(documents) for documents in elsewhere] == [500, 1]
    texts = [json.loads(document)["text"] for documents in elsewhere for document in documents]
    assert texts == station.texts() == [str(number) for number in range(501)]
    ids = [envelope.message_id for call in moody.calls for envelope in call]
    assert len(ids) == len(set(ids)) == 503


async def test_an_outcome_names_its_cause_and_continues_its_trace(station: Station) -> None:
    asked = document(bought("a"))
    await station.publish("bought", asked)
    async with station.running():
        await station.until_told(1)
    (outcome,) = station.outcomes()
    assert outcome["causation_id"] == json.loads(asked)["message_id"]
    assert outcome["traceparent"][3:35] == json.loads(asked)["traceparent"][3:35]
