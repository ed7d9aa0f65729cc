"""The proxy that stands for a bad network does what it says, for everything else here believes it."""

import http.client
import http.server
import threading
import urllib.error
import urllib.request

import pytest

from network import Network


@pytest.fixture
def service():
    """Notes what reaches it, and answers."""
    reached = []

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            reached.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    server.reached = reached
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def network(service):
    made = Network(service.server_port)
    yield made
    made.close()


def get(network, path, timeout=30):
    with urllib.request.urlopen(network.origin + path, timeout=timeout) as answer:
        return answer.read()


def fails(network, path, timeout=30):
    with pytest.raises((OSError, urllib.error.URLError, http.client.HTTPException)) as failure:
        get(network, path, timeout)
    return "timed out" in str(failure.value)


def test_what_is_cut_is_reset_until_it_is_healed(network, service):
    assert get(network, "/1") == b"ok"
    network.cut()
    assert not fails(network, "/2"), "reset at once"
    network.heal()
    assert get(network, "/3") == b"ok"
    assert service.reached == ["/1", "/3"]


def test_what_is_frozen_hangs_and_never_arrives(network, service):
    network.freeze()
    assert fails(network, "/1", timeout=0.3), "no answer"
    network.heal()
    assert get(network, "/2") == b"ok"
    assert service.reached == ["/2"]


def test_a_request_is_cut_before_the_service_has_seen_it(network, service):
    trap = network.cut_before("GET /caught")
    assert get(network, "/1") == b"ok"
    assert not fails(network, "/caught")
    trap.wait()
    network.heal()
    assert service.reached == ["/1"]


def test_an_answer_is_lost_after_the_service_has_given_it(network, service):
    trap = network.cut_after("GET /caught")
    assert not fails(network, "/caught")
    trap.wait()
    assert not fails(network, "/2"), "it stays cut"
    network.heal()
    assert get(network, "/3") == b"ok"
    assert service.reached == ["/caught", "/3"]


def test_an_answer_never_comes_after_the_service_has_given_it(network, service):
    trap = network.freeze_after("GET /caught")
    assert fails(network, "/caught", timeout=0.3)
    trap.wait()
    network.heal()
    assert service.reached == ["/caught"]
