"""What attacks.py needs: a service to attack, clients that misbehave, and one that does not. Standard library only."""

import asyncio
import contextlib
import http.client
import json
import multiprocessing
import os
import pathlib
import re
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import NamedTuple

ATTACKER, HONEST = "127.0.0.1", "127.0.0.2"

# No attack takes longer, whatever the service does.
ATTACK_SECONDS = 30

JSON = "application/json"


class Answer(NamedTuple):
    status: int
    body: bytes
    seconds: float


class Service:
    """A release binary on a free port of loopback, with default settings but for those that are given."""

    def __init__(self, binary: pathlib.Path, **settings: str) -> None:
        self.binary, self.settings = binary, settings
        self.directory = tempfile.TemporaryDirectory(dir="/var/tmp")
        self.log_file = pathlib.Path(self.directory.name, "log")
        self.start()

    def start(self) -> None:
        with self.log_file.open("wb") as log:
            environment = {"PORT": "0", "HOST": ATTACKER, **self.settings}
            self.process = subprocess.Popen([self.binary], cwd=self.directory.name, env=environment, stdout=log, stderr=log)
        give_up = time.monotonic() + 60
        while time.monotonic() < give_up and self.process.poll() is None:
            ready = re.search(r" is ready .*address=[0-9.]+:(\d+)", self.log_file.read_text(errors="replace"))
            if ready:
                self.port = int(ready[1])
                return
            time.sleep(0.02)
        raise SystemExit(f"{self.binary} does not start:\n{self.log_file.read_text(errors='replace')[-2000:]}")

    def megabytes(self, field: str = "VmHWM") -> float:
        """Its resident memory, by default the most that it ever had; without end when it is dead."""
        try:
            status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        except FileNotFoundError:
            return float("inf")
        found = re.search(rf"^{field}:\s+(\d+) kB", status, re.MULTILINE)
        return int(found[1]) * 1024 / 1e6 if found and self.process.poll() is None else float("inf")

    def stop(self, how: int = signal.SIGKILL) -> None:
        self.process.send_signal(how)
        self.process.wait(30)

    def __enter__(self) -> "Service":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self.directory.cleanup()


class Client:
    """An honest client, at an address of its own. It keeps its connection, and connects again when that was closed."""

    def __init__(self, port: int, token: str = "", timeout: float = 5) -> None:
        self.connection = http.client.HTTPConnection(ATTACKER, port, timeout=timeout, source_address=(HONEST, 0))
        self.headers = {"Content-Type": JSON} | ({"Authorization": f"Bearer {token}"} if token else {})

    def ask(self, method: str, path: str, body: object = None) -> Answer:
        """Status 0 where there is no answer."""
        begin = time.monotonic()
        try:
            self.connection.request(method, path, None if body is None else json.dumps(body), self.headers)
            response = self.connection.getresponse()
            return Answer(response.status, response.read(), time.monotonic() - begin)
        except (OSError, http.client.HTTPException):
            self.connection.close()
            return Answer(0, b"", time.monotonic() - begin)

    def log_in(self, username: str, password: str = "secret") -> str:
        answer = self.ask("POST", "/auth/login", {"username": username, "password": password})
        if answer.status != 200:
            raise SystemExit(f"{username} cannot log in: {answer}")
        return json.loads(answer.body)["access_token"]


def worst_health(port: int, seconds: float) -> float:
    """The longest that /health took, asked on a new connection every tenth of a second."""
    end, worst = time.monotonic() + seconds, 0.0
    while time.monotonic() < end:
        client = Client(port)
        answer = client.ask("GET", "/health")
        client.connection.close()
        worst = max(worst, answer.seconds if answer.status == 200 else float("inf"))
        time.sleep(0.1)
    return worst


def request(method: str, path: str, body: bytes = b"", token: str = "", length: int | None = None, kind: str = JSON) -> bytes:
    head = [f"{method} {path} HTTP/1.1", "Host: gate", f"Content-Type: {kind}"]
    head += [f"Authorization: Bearer {token}"] if token else []
    head += [f"Content-Length: {len(body) if length is None else length}"]
    return "\r\n".join([*head, "", ""]).encode() + body


class Attacker:
    """A connection that reads nothing unless it is told to."""

    def __init__(self, receive_buffer: int = 4096) -> None:
        self.socket = socket.socket()
        # Segments as on a network, and room for few of them: loopback would hold megabytes that are the service's to hold.
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1448)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.setblocking(False)

    async def connect(self, port: int) -> "Attacker":
        await asyncio.get_running_loop().sock_connect(self.socket, (ATTACKER, port))
        return self

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.socket, data)

    async def receive(self, most: int = 1 << 16) -> bytes:
        data = await asyncio.get_running_loop().sock_recv(self.socket, most)
        if not data:
            raise ConnectionResetError
        return data

    async def answer(self) -> bytes:
        """A whole answer with a Content-Length: its head."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += await self.receive()
        head, _, body = data.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        missing = (int(length[1]) if length else 0) - len(body)
        while missing > 0:
            missing -= len(await self.receive())
        return head

    async def stay(self) -> None:
        """Until the service hangs up, which shows without reading."""
        established = 1
        while self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == established:
            await asyncio.sleep(0.2)

    def __enter__(self) -> "Attacker":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()


Attack = Callable[[Attacker, int], Awaitable[None]]


async def repeat(port: int, attack: Attack, number: int, receive_buffer: int) -> None:
    while True:
        with contextlib.suppress(OSError), Attacker(receive_buffer) as attacker:
            await attack(await attacker.connect(port), number)
        await asyncio.sleep(0.1)


async def all_at_once(port: int, attack: Attack, count: int, receive_buffer: int) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(ATTACK_SECONDS):
            await asyncio.gather(*(repeat(port, attack, number, receive_buffer) for number in range(count)))


@contextlib.contextmanager
def attacked(port: int, attack: Attack, count: int, receive_buffer: int = 4096) -> Iterator[None]:
    """`count` attackers in a process of their own. Whoever is hung up on comes again, until the block ends."""
    fork = multiprocessing.get_context("fork")
    process = fork.Process(target=lambda: asyncio.run(all_at_once(port, attack, count, receive_buffer)))
    process.start()
    try:
        yield
    finally:
        process.terminate()
        process.join()


def binaries() -> pathlib.Path:
    repository = pathlib.Path(__file__).resolve().parent.parent
    return pathlib.Path(os.environ.get("CARGO_TARGET_DIR", repository / "target"), "release").resolve()
