"""What the benchmark makes no figure of, and that an order which waits is late from when it was to be sent."""

import asyncio
import json
import shutil
import subprocess

import pytest
from pamqp import commands, frame

from bench import versions
from bench.daemons import Daemon
from bench.figures import figures
from bench.generator import load
from bench.generator.amqp import METHOD, Publisher
from bench.generator.documents import Outcome
from bench.generator.load import Load
from bench.generator.plan import Plan, Report
from bench.meter import Cost
from bench.run import Run, expect_all_decided, expect_all_placed, expect_all_that_can_be
from bench.stock import can_be_placed, half, plenty
from bench.system import NotClean

PLAN = Plan("amqp://x/", 100, 50.0, 1, 0.0, 60.0)
POSSIBLE = can_be_placed(PLAN.workload, half)


def report(**changed):
    """All orders placed, and none of them late."""
    told = {"sent": 100, "placed": 100, "seconds": 2.0, "decided_while_sending": 100}
    return Report(**(told | {"latency_milliseconds": {"p50": 9.0, "p99": 20.0}} | changed))


def run(**changed):
    return Run(PLAN, report(**changed), Cost(2.0, {}, 0.0, 0, 0, 0, 0), {})


@pytest.mark.parametrize(
    "changed", [{"placed": 99}, {"contradictions": 1}, {"nacked": 1}], ids=["lost", "contradicted", "not taken"]
)
def test_a_run_in_which_an_order_is_lost_contradicted_or_not_taken_counts_for_nothing(changed):
    for expect in (expect_all_decided, expect_all_placed):
        expect(report())
        with pytest.raises(NotClean):
            expect(report(**changed))
    with pytest.raises(NotClean):
        expect_all_that_can_be(run(**changed), plenty)


def test_where_there_is_plenty_no_order_is_refused():
    with pytest.raises(NotClean, match="1 of 100 orders refused"):
        expect_all_placed(report(placed=99, reasons={"no_agent": 1}))


@pytest.mark.parametrize("wrong", [-1, 1])
def test_where_it_is_scarce_as_many_orders_are_placed_as_there_are_packets_for(wrong):
    expect_all_that_can_be(run(placed=POSSIBLE, reasons={"out_of_stock": 100 - POSSIBLE}), half)
    with pytest.raises(NotClean, match=f"there were packets for {POSSIBLE}"):
        expect_all_that_can_be(run(placed=POSSIBLE + wrong, reasons={"out_of_stock": 100 - POSSIBLE - wrong}), half)


@pytest.mark.parametrize(
    ("changed", "held"),
    [
        ({}, True),
        ({"latency_milliseconds": {"p99": 1_000.0}}, False),
        ({"latency_milliseconds": {}}, False),
        ({"backlog": [(0.1 * at, 5 * at) for at in range(20)]}, False),
        ({"backlog": [(0.1 * at, 5 * min(at, 6)) for at in range(20)]}, True),
    ],
    ids=["in time", "late", "nothing decided", "a backlog that grows", "a backlog that has come to its level"],
)
def test_a_rate_is_held_only_if_no_order_waits_for_long_and_no_more_and_more_of_them(changed, held):
    assert run(**changed).held is held


def test_only_what_is_decided_while_orders_are_sent_counts_as_throughput():
    assert run(decided_while_sending=60).orders_per_second == 30.0


def test_the_middle_run_is_told():
    told = figures("hot", [run(decided_while_sending=each) for each in (60, 80, 100)])
    assert (told["orders_per_second"], len(told["runs"])) == (40.0, 3)


def test_what_a_daemon_has_logged_as_an_error_is_a_complaint(tmp_path):
    log = tmp_path / "log"
    levels = ("info", "warning", "error", "critical")
    log.write_text("a warning of Python's\n" + "".join(f"{json.dumps({'level': level})}\n" for level in levels))
    complaints = Daemon("order_saga", {}, log).complaints()
    assert [json.loads(line)["level"] for line in complaints] == ["error", "critical"]


async def test_that_a_daemon_is_gone_is_a_complaint_whatever_it_has_logged(tmp_path):
    log = tmp_path / "log"
    log.write_text("Killed\n")
    process = await asyncio.create_subprocess_exec("sleep", "60")
    daemon = Daemon("store_worker", {}, log, process)
    assert daemon.complaints() == []
    process.kill()
    await process.wait()
    assert daemon.complaints() == ["store_worker ended: Killed\n"]


@pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")
def test_what_was_measured_says_where_it_is_not_as_committed(monkeypatch, tmp_path):
    monkeypatch.setattr(versions, "ROOT", tmp_path)
    (tmp_path / "code").write_text("as committed")
    for command in ("init --quiet", "add code", "-c user.name=a -c user.email=b commit --quiet -m c"):
        subprocess.run(["git", *command.split()], cwd=tmp_path, check=True)
    committed = versions._commit()
    (tmp_path / "code").write_text("changed")
    assert versions._commit() == f"{committed}+" != "unknown+"


class Link:
    """A connection to nowhere."""

    nacked = 0

    def __init__(self, *_):
        pass

    def template(self, _body_bytes):
        return b"", b""

    def close(self):
        pass


@pytest.fixture
def generator(monkeypatch):
    for name in ("Listener", "Publisher"):
        monkeypatch.setattr(load, name, Link)
    return Load(PLAN)


def test_an_order_is_late_from_when_it_was_to_be_sent_however_late_it_was_sent(generator):
    intended = list(PLAN.times())
    for number in range(100):
        generator._note(Outcome(number, ""), intended[number] + 0.001 * (number + 1))
    latency = generator._finished().latency_milliseconds
    assert (latency["p50"], latency["p99"], latency["max"]) == (51.0, 100.0, 100.0)


def test_an_order_with_another_outcome_is_contradicted_and_with_the_same_once_more_is_counted_once(generator):
    for number, reason in ((0, ""), (0, ""), (1, "no_agent"), (1, "no_agent"), (0, "no_agent"), (1, "")):
        generator._note(Outcome(number, reason), 1.0)
    told = generator.report
    assert (told.placed, told.reasons, told.contradictions) == (1, {"no_agent": 1}, 2)


def test_what_is_decided_after_the_last_order_was_to_be_sent_is_no_throughput(generator):
    for number, at in ((0, PLAN.seconds), (1, PLAN.seconds + 0.1)):
        generator._note(Outcome(number, ""), at)
    assert (generator.report.decided_while_sending, generator.report.seconds) == (1, PLAN.seconds + 0.1)


class Confirmed(Publisher):
    """Hears these confirms, as frames."""

    def __init__(self, *confirms):
        self.nacked, self._confirmed_to, self._confirmed_beyond = 0, 0, set()
        self._frames = [(METHOD, frame.marshal(each, 1)[7:-1]) for each in confirms]

    def read(self):
        return self._frames


def test_only_what_the_broker_has_taken_is_confirmed():
    ack, nack = commands.Basic.Ack, commands.Basic.Nack
    publisher = Confirmed(ack(3), nack(2), ack(1), ack(6, multiple=True), nack(8, multiple=True), ack(9))
    publisher.hear_confirms()
    assert (publisher.confirmed, publisher.nacked) == (6, 3)


def test_a_broker_that_closes_the_channel_ends_the_run():
    with pytest.raises(ConnectionError, match="the broker ended publishing"):
        Confirmed(commands.Channel.Close(403, "no", 0, 0)).hear_confirms()
