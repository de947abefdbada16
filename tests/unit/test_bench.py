"""What the benchmark works out by itself: what is ordered, whether a backlog grows, and how figures are shown."""

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from contextlib import nullcontext
from types import SimpleNamespace
from unittest.mock import AsyncMock

import pytest

from bench import saturation
from bench.generator.documents import Documents, Outcome
from bench.generator.plan import Plan, Report, percentile
from bench.pace import QUICK
from bench.plot import PARTS, plot
from bench.processes import cpu_seconds, peak_rss_megabytes
from bench.results import Results
from bench.run import slope
from bench.saturation import Kind
from bench.stock import can_be_placed, half, plenty
from bench.system import NotClean
from bench.table import table
from bench.workload import Workload
from messages.contracts.order import OrderRequested
from messages.transport.document import Reader
from messages.transport.incoming import Incoming

LINE = {
    "scenario": "saturation",
    "orders_per_second": 3210.9,
    "p50_milliseconds": 12.34,
    "cpu_milliseconds_per_order": dict.fromkeys([*PARTS, "without_generator"], 0.1),
    "peak_rss_megabytes": {"order_saga": 70.2, "broker": 300.0},
}


def test_the_same_seed_orders_the_same():
    assert list(Workload(100, seed=7).asks()) == list(Workload(100, seed=7).asks())
    assert list(Workload(100, seed=7).asks()) != list(Workload(100, seed=8).asks())


def test_nine_of_ten_hot_orders_want_the_same_packet():
    packets, _ = Workload(10_000, seed=1, hot_share=0.9).demand()
    assert 8_800 < packets[0, 0] < 9_200


def test_where_there_is_plenty_every_order_can_be_placed():
    assert can_be_placed(Workload(5_000, seed=1), plenty) == 5_000


def test_where_it_is_scarce_half_of_the_orders_can_be_placed():
    assert 95_000 < can_be_placed(Workload(200_000, seed=1), half) < 105_000


def test_a_document_of_the_generator_is_one_that_the_system_accepts():
    ask = next(Workload(1, seed=1).asks())
    read = Reader([OrderRequested]).read(Documents(seed=1).write(0, ask))
    assert isinstance(read, Incoming)
    assert isinstance(read.message, OrderRequested)
    assert read.message.order_id.version == 4


def test_documents_are_all_of_one_length():
    documents = Documents(seed=3)
    asks = Workload(1_000, seed=3).asks()
    assert len({len(documents.write(number, ask)) for number, ask in enumerate(asks)}) == 1


def test_an_outcome_is_recognised_by_its_order():
    documents = Documents(seed=5)
    order_id = documents.write(41, next(Workload(1, seed=5).asks())).split(b'"order_id":"')[1][:36]
    placed = b'{"type":"OrderPlaced/1.0","order_id":"%s","packet_ids":["a"]}' % order_id
    refused = b'{"type":"OrderNotPlaced/1.0","order_id":"%s","reason":"no_agent"}' % order_id
    assert documents.read(placed) == Outcome(41, "")
    assert documents.read(refused) == Outcome(41, "no_agent")
    assert Documents(seed=6).read(placed) is None


def test_arrivals_keep_the_rate():
    times = list(Plan("amqp://x/", 5_000, 500.0, 1, 0.0, 60.0).times())
    assert times == sorted(times)
    assert len(times) == 5_000
    assert 9.9 < times[-1] <= 10.0


def test_a_backlog_that_grows_has_a_slope():
    assert slope([(0.0, 10), (1.0, 10), (2.0, 10)]) == 0
    assert slope([(0.0, 0), (1.0, 50), (2.0, 100)]) == 50


def test_a_percentile_is_a_value_that_was_measured():
    assert percentile([1.0, 2.0, 3.0, 4.0], 0.5) == 3.0
    assert percentile([1.0], 0.99) == 1.0


async def test_a_rate_that_is_not_confirmed_is_told_as_the_search_found_it(monkeypatch):
    async def confirm_nothing(_system, plan):
        return SimpleNamespace(plan=plan, held=False, orders_per_second=1.0, report=Report())

    system = AsyncMock(broker_url="amqp://x/")
    monkeypatch.setattr(saturation, "_ready", lambda *_: nullcontext(system))
    monkeypatch.setattr(saturation, "measure", confirm_nothing)
    with pytest.raises(NotClean, match=r"^1000 orders/s were sustained in the search, but .+ not even 774$"):
        await saturation.confirm(AsyncMock(), Kind(), QUICK, 1_000.0)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")
def test_a_process_that_has_ended_meanwhile_has_no_memory():
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert peak_rss_megabytes(ended.pid) == 0
    assert peak_rss_megabytes(os.getpid()) > 1


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")
def test_what_a_process_has_started_is_counted_with_it():
    busy = "import time; end = time.process_time() + 0.1\nwhile time.process_time() < end: pass\n"
    script = (
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {busy + 'print(1, flush=True); input()'!r}])"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline()
        used = cpu_seconds({"parent": [parent.pid], "nobody": []})
        parent.communicate(b"\n")
    assert 0.1 <= used["parent"] < 5
    assert used["nobody"] == 0


def test_of_each_scenario_the_newest_line_is_kept(tmp_path):
    results = Results(tmp_path / "new")
    for scenario, rate in (("hot", 1.0), ("aged", 2.0), ("hot", 3.0)):
        results.keep({"scenario": scenario, "orders_per_second": rate})
    assert [(line["scenario"], line["orders_per_second"]) for line in results.read()] == [("aged", 2.0), ("hot", 3.0)]


def test_the_table_has_a_row_for_every_scenario():
    rows = table([LINE, LINE | {"scenario": "hot"}]).splitlines()
    assert rows[2].startswith("| saturation | 3,211 |")
    assert rows[3].startswith("| hot |")


def test_the_plot_is_a_picture():
    picture = ET.fromstring(plot([LINE]))
    assert picture.tag.endswith("svg")
    assert any(text.text == "3,211" for text in picture.iter("{http://www.w3.org/2000/svg}text"))
