"""Three pages for machines: alive, ready, counted. They answer whatever the event loop or another caller does."""

import errno
import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from socketserver import TCPServer

import pytest
from prometheus_client.parser import text_string_to_metric_families

from messages.transport.daemon import health
from messages.transport.daemon.health import Health
from messages.transport.metrics import Metrics
from tests.servers.server import free_port


class Pages:
    def __init__(self) -> None:
        self.metrics = Metrics()
        self.checks = {"postgresql": True, "broker": True}
        self.health = Health(self.metrics.registry, lambda: self.checks)
        self.port = self.health.start("127.0.0.1", 0)

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()


@pytest.fixture(autouse=True)
def _a_thread_may_take_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "STOP_SECONDS", 60.0)


@pytest.fixture
def pages() -> Iterator[Pages]:
    pages = Pages()
    yield pages
    pages.health.stop()


def test_once_stopped_nothing_listens_and_nothing_waits(pages: Pages) -> None:
    pages.health.stop()
    assert "health" not in {thread.name for thread in threading.enumerate()}
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", pages.port), timeout=1).close()


def test_an_idle_process_is_alive_and_ready(pages: Pages) -> None:
    assert pages.get("/livez") == (200, '{"event_loop": true}\n')
    assert pages.get("/readyz") == (200, '{"postgresql": true, "broker": true}\n')


def test_readiness_names_what_fails_and_liveness_does_not_care(pages: Pages) -> None:
    pages.checks["broker"] = False
    status, body = pages.get("/readyz")
    assert status == 503
    assert json.loads(body) == {"postgresql": True, "broker": False}
    assert pages.get("/livez")[0] == 200


def test_an_event_loop_that_no_longer_turns_is_dead(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "STALLED_SECONDS", 0.0)
    assert pages.get("/livez") == (503, '{"event_loop": false}\n')
    monkeypatch.setattr(health, "STALLED_SECONDS", 30.0)
    pages.health.beat()
    assert pages.get("/livez")[0] == 200


def test_the_metrics_can_be_parsed(pages: Pages) -> None:
    pages.metrics.received.count(["a", "b", "c"])
    pages.metrics.batch_seconds.observe(0.25)
    status, body = pages.get("/metrics")
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(body)
        for sample in family.samples
    }
    assert status == 200
    assert samples["ordersaga_messages_received_total", "str"] == 3
    assert samples["ordersaga_batch_seconds_count",] == 1


def test_another_page_is_not_found(pages: Pages) -> None:
    assert pages.get("/")[0] == 404


def test_two_services_in_one_process_count_apart() -> None:
    first, second = Metrics(), Metrics()
    first.alarms.labels("stuck").inc()
    assert first.registry.get_sample_value("ordersaga_alarms_total", {"alarm": "stuck"}) == 1
    assert second.registry.get_sample_value("ordersaga_alarms_total", {"alarm": "stuck"}) is None


def test_a_caller_who_says_nothing_keeps_nobody_waiting(pages: Pages) -> None:
    with socket.create_connection(("127.0.0.1", pages.port)):
        assert pages.get("/livez")[0] == 200


async def test_pages_are_served_while_the_event_loop_is_busy(pages: Pages) -> None:
    assert pages.get("/readyz")[0] == 200  # asked by the event loop itself, which waits


def test_a_caller_who_says_nothing_is_sent_away(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    assert health._Quiet.timeout <= 30
    monkeypatch.setattr(health._Quiet, "timeout", 0.05)
    with socket.create_connection(("127.0.0.1", pages.port), timeout=60) as silent:
        assert silent.recv(1) == b""


def test_a_caller_who_says_nothing_does_not_hold_up_the_end(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health._Quiet, "timeout", 20.0)
    with socket.create_connection(("127.0.0.1", pages.port)):
        assert pages.get("/livez")[0] == 200  # so the other one has a thread by now
        began = time.monotonic()
        pages.health.stop()
        assert time.monotonic() - began < 10


def test_a_caller_for_whom_no_descriptor_is_left_is_not_tried_all_the_time(
    pages: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried_at: list[float] = []
    thrice = threading.Event()

    def none_is_left(_server: TCPServer) -> None:
        tried_at.append(time.monotonic())
        if len(tried_at) == 3:
            thrice.set()
        raise OSError(errno.EMFILE, "too many open files")

    monkeypatch.setattr(TCPServer, "get_request", none_is_left)
    with socket.create_connection(("127.0.0.1", pages.port)):
        assert thrice.wait(60)
    assert tried_at[2] - tried_at[0] >= 2 * health.REST_SECONDS


def test_a_port_that_is_taken_is_an_error(pages: Pages) -> None:
    with pytest.raises(OSError, match="in use"):
        Health(pages.metrics.registry, dict).start("127.0.0.1", pages.port)


def test_a_start_does_not_wait_for_dns(monkeypatch: pytest.MonkeyPatch) -> None:
    def never_answers(host: str) -> str:
        raise AssertionError(f"asked for the name of {host}")

    monkeypatch.setattr(socket, "getfqdn", never_answers)
    pages = Pages()
    assert pages.get("/livez")[0] == 200
    pages.health.stop()


@pytest.mark.parametrize("host", ["::1", "::"])
def test_pages_are_served_by_an_address_of_ip_version_6(host: str) -> None:
    if not _has_ipv6():
        pytest.skip("this host has no ::1")
    served = Health(Metrics().registry, dict)
    port = served.start(host, 0)
    with urllib.request.urlopen(f"http://[::1]:{port}/livez", timeout=60) as answer:
        assert answer.status == 200
    served.stop()
    assert "health" not in {thread.name for thread in threading.enumerate()}


def _has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def test_a_stopped_server_gives_its_port_back() -> None:
    port = free_port()  # which the system gives to nobody else meanwhile
    for _ in range(2):
        served = Health(Metrics().registry, dict)
        assert served.start("127.0.0.1", port) == port
        served.stop()
