"""The network between one phone and a service: a TCP proxy whose connections can be cut, frozen, slowed and healed."""

import contextlib
import socket
import struct
import threading
import time

from services import AT_MOST

OPEN, CUT, FROZEN = "open", "cut", "frozen"


class Network:
    """Listens on a port of its own, and passes everything on to 127.0.0.1:`port`."""

    def __init__(self, port):
        self._target = port
        self._state = OPEN
        self._changed = threading.Condition()
        self._pairs = set()
        self._traps = []
        self.was_bad = False
        """Whether it ever was anything else than open."""
        self.delay = 0
        """Seconds that every piece of an answer takes longer."""
        self.requests = []
        """First lines of all requests that reached the network, such as `POST /checkins`."""
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def origin(self):
        return f"http://127.0.0.1:{self.port}"

    def cut(self):
        """No connection any more: those that there are break, and new ones are reset."""
        self._become(CUT)

    def freeze(self):
        """Connections stay and new ones are accepted, but nothing comes through: as at the edge of a radio cell."""
        self._become(FROZEN)

    def heal(self):
        """What was frozen breaks, for no network keeps it; new connections work."""
        self._become(OPEN)

    def _become(self, state):
        with self._changed:
            before, self._state = self._state, state
            self.was_bad |= state != OPEN
            if state == CUT or before != OPEN:
                for pair in list(self._pairs):
                    pair.reset()
            self._changed.notify_all()

    def cut_before(self, request):
        """Cuts everything when a request that starts so arrives, before the service has seen it."""
        return self._trap(request, before=True, then=CUT)

    def freeze_before(self, request):
        """Freezes everything when a request that starts so arrives, before the service has seen it."""
        return self._trap(request, before=True, then=FROZEN)

    def cut_after(self, request):
        """Passes on a request that starts so, waits until the service has answered, loses the answer, cuts everything."""
        return self._trap(request, before=False, then=CUT)

    def freeze_after(self, request):
        """Like `cut_after`, but freezes."""
        return self._trap(request, before=False, then=FROZEN)

    def _trap(self, request, before, then):
        trap = _Trap(request.encode(), before, then)
        self._traps.append(trap)
        return trap

    def close(self):
        self._become(CUT)
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._state == CUT:
                _reset(client)
            else:
                threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client):
        pair = _Pair(self, client)
        with self._changed:
            self._pairs.add(pair)
        pair.run(self._target)

    # Called by the pairs.

    def seen(self, chunk):
        """The trap that a piece from the phone goes into, if it does."""
        verb = chunk.split(b" ", 1)[0]
        if verb not in (b"GET", b"POST", b"PUT", b"PATCH", b"DELETE", b"HEAD", b"OPTIONS"):
            return None
        self.requests.append(" ".join(chunk.split(b"\r\n", 1)[0].decode("latin-1").split(" ")[:2]))
        for trap in self._traps:
            if chunk.startswith(trap.request):
                self._traps.remove(trap)
                return trap
        return None

    def spring(self, trap):
        self._become(trap.then)
        trap.sprung.set()

    def pass_when_open(self, pair):
        """Waits while everything is frozen. False if the connection broke meanwhile."""
        with self._changed:
            while self._state == FROZEN and pair in self._pairs:
                self._changed.wait()
            return pair in self._pairs

    def forget(self, pair):
        with self._changed:
            self._pairs.discard(pair)
            self._changed.notify_all()


class _Trap:
    def __init__(self, request, before, then):
        self.request = request
        self.before = before
        self.then = then
        self.sprung = threading.Event()

    def wait(self):
        """Until it has happened. For pages that work by themselves meanwhile."""
        assert self.sprung.wait(AT_MOST), f"no request {self.request} came"


class _Pair:
    """A connection of the phone, and the one to the service that belongs to it."""

    def __init__(self, network, client):
        self._network = network
        self._client = client
        self._service = None
        self._trap = None

    def run(self, port):
        try:
            self._service = socket.create_connection(("127.0.0.1", port))
        except OSError:
            self.reset()
            return
        threading.Thread(target=self._answers, daemon=True).start()
        self._pass(self._client, self._service, self._request)

    def _answers(self):
        self._pass(self._service, self._client, self._answer)

    def _pass(self, source, target, look):
        with contextlib.suppress(OSError):
            while chunk := source.recv(65536):
                if not look(chunk) or not self._network.pass_when_open(self):
                    return
                target.sendall(chunk)
        self.close()

    def _request(self, chunk):
        trap = self._network.seen(chunk)
        if trap and trap.before:
            self._network.spring(trap)
        elif trap:
            self._trap = trap
        return True

    def _answer(self, _chunk):
        if self._trap:
            self._network.spring(self._trap)
        if self._network.delay:
            time.sleep(self._network.delay)
        return True

    def reset(self):
        self._network.forget(self)
        _reset(self._client)
        if self._service:
            self._shut(self._service)

    def close(self):
        self._network.forget(self)
        self._shut(self._client)
        self._shut(self._service)

    @staticmethod
    def _shut(one):
        # Wakes the thread that reads from it, which a mere close does not.
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)


def _reset(one):
    with contextlib.suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        one.shutdown(socket.SHUT_RD)
        one.close()
