"""Where `check` looks for RabbitMQ's HTTP API, and whose certificate it trusts there."""

import base64
import json
import shutil
import ssl
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from messages.transport.rabbitmq.management import Management

BROKER_URL = "amqp://toy@localhost/saga"


class _Api(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.answer([{"name": self.path}])

    def answer(self, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class names it so
        """Nobody reads it."""


class _AnotherApi(_Api):
    def do_GET(self) -> None:
        self.answer({"status": "success"})


class _Refusing(_Api):
    """With the status that the path ends with."""

    def do_GET(self) -> None:
        self.send_error(int(self.path.split("/")[1]))


class _Bindings(_Api):
    def do_GET(self) -> None:
        about = {"source": "requests", "routing_key": "order"}
        to = [{"destination": f"{kind} of orders", "destination_type": kind} for kind in ("queue", "exchange")]
        self.answer([about | each for each in to])


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Of localhost, signed by itself; its key stands in the same file."""
    file = tmp_path / "localhost.pem"
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    request = "req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    files = ["-keyout", str(file), "-out", str(tmp_path / "alone.pem")]
    subprocess.run(["openssl", *request.split(), *files], check=True, capture_output=True)
    file.write_text(file.read_text() + (tmp_path / "alone.pem").read_text())
    return file


@pytest.fixture
def tls_port(certificate: Path) -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Api)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with _serving(server):
        yield server.server_port


@contextmanager
def _serving(server: ThreadingHTTPServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://toy:secret@mq", "http://mq:15672/api"),
        ("http://toy:secret@mq:8080/", "http://mq:8080/api"),
        ("https://toy:secret@mq", "https://mq:443/api"),
        ("https://toy:secret@mq:15671", "https://mq:15671/api"),
        ("http://toy:secret@[::1]", "http://[::1]:15672/api"),
        ("https://toy:secret@[fe80::1]:15671/rabbit/", "https://[fe80::1]:15671/rabbit/api"),
        ("https://proxy/rabbit", "https://proxy:443/rabbit/api"),
    ],
)
def test_the_api_is_where_the_url_says(url, base):
    assert Management(url, BROKER_URL)._base == base


def test_what_is_escaped_in_the_url_is_sent_as_it_is_meant() -> None:
    management = Management("http://t%40y:s%2Fcret@mq", BROKER_URL)
    assert management._authorization == "Basic " + base64.b64encode(b"t@y:s/cret").decode()


@pytest.mark.parametrize(("path", "vhost"), [("", "%2F"), ("/", "%2F"), ("/%2F", "%2F"), ("/a%2Fb", "a%2Fb")])
def test_the_virtual_host_is_that_of_the_broker_s_url(path: str, vhost: str) -> None:
    assert Management("http://mq", f"amqp://toy@localhost{path}")._vhost == vhost


def test_an_authority_of_one_s_own_is_named_by_the_variable_that_openssl_reads(monkeypatch, certificate, tls_port):
    management = Management(f"https://toy:secret@localhost:{tls_port}/rabbit", BROKER_URL)
    with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
        management.nodes()
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setattr(urllib.request, "_opener", None)  # from Python 3.12 on, it has read the variable already
    assert management.nodes() == ["/rabbit/api/nodes"]


def test_another_api_that_answers_with_json_is_told():
    server = ThreadingHTTPServer(("127.0.0.1", 0), _AnotherApi)
    with _serving(server):
        management = Management(f"http://toy:secret@localhost:{server.server_port}", BROKER_URL)
        for ask in (management.queues, management.bindings, management.nodes):
            with pytest.raises(OSError, match="not RabbitMQ's HTTP API"):
                ask()


@pytest.mark.parametrize("status", [401, 403])
def test_a_user_who_may_not_see_the_nodes_is_told_of_none(status: int) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Refusing)
    with _serving(server):
        assert Management(f"http://toy:secret@localhost:{server.server_port}/{status}", BROKER_URL).nodes() is None


def test_nodes_that_cannot_be_read_for_another_reason_are_an_error() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Refusing)
    with _serving(server), pytest.raises(OSError, match="500"):
        Management(f"http://toy:secret@localhost:{server.server_port}/500", BROKER_URL).nodes()


def test_what_is_bound_to_another_exchange_is_bound_to_no_queue() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Bindings)
    with _serving(server):
        management = Management(f"http://toy:secret@localhost:{server.server_port}", BROKER_URL)
        assert management.bindings() == {("requests", "order", "queue of orders")}
