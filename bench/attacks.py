#!/usr/bin/env python3
"""Attacks the release binaries on loopback, as clients that mean harm would, and says what others notice of it.

bench/attacks.py [--check] [ATTACK...]

  --check   exit status 1 when a target is missed
  ATTACK    memory, store, logins, gzip, postgres, connections, guard or log; without one, all of them
"""

import asyncio
import json
import os
import resource
import secrets
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from victims import Attack, Attacker, Client, Service, attacked, binaries, request, worst_health

BODY = 64 << 10


class Row:
    """A line of the table."""

    def __init__(self, what: str, relation: str, target: float, measured: float, unit: str = "") -> None:
        holds = {"under": measured < target, "at most": measured <= target, "at least": measured >= target}[relation]
        self.is_met = holds
        figure = "no answer" if measured == float("inf") else f"{measured:.3g}{unit}"
        self.line = f"| {what} | {relation} {target:g}{unit} | {figure} | {'ok' if holds else 'MISSED'} |"


def identity(**settings: str) -> Service:
    return Service(binaries() / "identity-service", **settings)


def attendance(**settings: str) -> Service:
    return Service(binaries() / "attendance-service", **settings)


def token_of(username: str) -> str:
    with identity() as service:
        return Client(service.port).log_in(username)


def check_in(port: int, token: str, event: str, count: int, padding: int = 0) -> None:
    """Pipelined, for one by one takes minutes."""

    async def send() -> None:
        with Attacker() as client:
            await client.connect(port)
            for first in range(0, count, 100):
                bodies = [
                    json.dumps({"event_id": event, "ticket_id": f"{number:06}{'x' * padding}"}).encode()
                    for number in range(first, min(first + 100, count))
                ]
                await client.send(b"".join(request("POST", "/checkins", body, token) for body in bodies))
                answered = b""
                while answered.count(b"HTTP/1.1 200") < len(bodies):
                    answered += await client.receive()

    asyncio.run(asyncio.wait_for(send(), 120))


def unread(what: bytes) -> Attack:
    async def attack(attacker: Attacker, _: int) -> None:
        await attacker.send(what)
        await attacker.stay()

    return attack


def again_and_again(what: bytes) -> Attack:
    async def attack(attacker: Attacker, _: int) -> None:
        while True:
            await attacker.send(what)
            await attacker.answer()

    return attack


async def drip(attacker: Attacker, _: int) -> None:
    """A head that is nearly as long as one may be, and never ends."""
    await attacker.send(b"GET /health HTTP/1.1\r\nX-Long: " + b"x" * 15_000)
    while True:
        await asyncio.sleep(0.5)
        await attacker.send(b"x")


def memory() -> Iterator[Row]:
    token = token_of("panitia1")
    nested = b'{"x":[' + b",".join([b'{"":0}'] * ((BODY - 10) // 7)) + b"]}"
    for start, path, bearer in ((identity, "/auth/register", ""), (attendance, "/checkins", token)):
        kinds = {
            "answers of 422 unread": unread(request("POST", path, b"\x01" * BODY, bearer, kind="text/plain")),
            "bodies half sent": unread(request("POST", path, b"{" + b" " * (BODY - 100), bearer, length=BODY)),
            'bodies of {"x":[{"":0},…]}': again_and_again(request("POST", path, nested, bearer)),
            "heads that drip": drip,
        }
        if start is attendance:
            kinds["lists unread"] = unread(request("GET", "/attendance/evt", token=token))
        for kind, attack in kinds.items():
            with start() as service:
                if start is attendance:
                    check_in(service.port, token, "evt", 10_000)
                with attacked(service.port, attack, 600):
                    worst = worst_health(service.port, 10)
                what = f"{service.binary.name}, 600 clients: {kind}"
                yield Row(f"{what}: resident memory", "under", 96, service.megabytes(), " MB")
                yield Row(f"{what}: worst /health", "under", 1, worst, " s")


def store() -> Iterator[Row]:
    token = token_of("panitia1")

    async def attack(attacker: Attacker, _: int) -> None:
        template = request("POST", "/checkins", b'{"event_id":"evt","ticket_id":"RANDOM0123456789' + b"x" * (BODY - 100) + b'"}', token)
        head, tail = template.split(b"RANDOM0123456789")
        while True:
            await attacker.send(head + secrets.token_hex(8).encode() + tail)
            await attacker.answer()

    with attendance(MAX_STORE_MB="64") as service:
        service.settings["DATABASE_URL"] = f"sqlite://{service.directory.name}/"
        service.stop()
        service.start()
        check_in(service.port, token, "first", 1)
        with attacked(service.port, attack, 32, receive_buffer=1 << 18):
            time.sleep(6)
        client = Client(service.port, token)
        refused = client.ask("POST", "/checkins", {"event_id": "evt", "ticket_id": "y" * (BODY - 100)})
        listed = client.ask("GET", "/attendance/first")
        what = "one token, tickets of 64 KiB for 6 s, MAX_STORE_MB=64"
        yield Row(f"{what}: resident memory", "under", 128, service.megabytes(), " MB")
        yield Row(f"{what}: refused with 503 afterwards", "at least", 1, refused.status == 503)
        yield Row(f"{what}: a list is still answered", "at least", 1, listed.status == 200)
        service.stop()
        service.start()
        listed = Client(service.port, token).ask("GET", "/attendance/first")
        yield Row(f"{what}: killed and started, the list is there", "at least", 1, b'"total_checked_in":1' in listed.body)


def logins() -> Iterator[Row]:
    def attempt(port: int, second: int) -> bool:
        time.sleep(second)
        body = {"username": "panitia1", "password": "secret"}
        answer = Client(port, timeout=3).ask("POST", "/auth/login", body)
        return answer.status == 200 and answer.seconds < 3

    bodies = [json.dumps({"username": f"attacker{n}", "password": "rahasia"}).encode() for n in range(3)]

    async def attack(attacker: Attacker, number: int) -> None:
        while True:
            await attacker.send(request("POST", "/auth/login", bodies[number % 3]))
            await attacker.answer()

    with identity() as service, ThreadPoolExecutor(15) as honest:
        for body in bodies:
            Client(service.port).ask("POST", "/auth/register", json.loads(body))
        with attacked(service.port, attack, 36):
            time.sleep(1)
            let_in = sum(honest.map(lambda second: attempt(service.port, second), range(15)))
    yield Row("36 connections log in to 3 accounts: others let in within 3 s, of 15", "at least", 12, let_in)


def gzip() -> Iterator[Row]:
    token = token_of("panitia1")
    compressed = request("GET", "/attendance/evt", token=token).replace(b"Host:", b"Accept-Encoding: gzip\r\nHost:")

    async def attack(attacker: Attacker, _: int) -> None:
        # An answer in chunks ends with an empty one.
        while True:
            await attacker.send(compressed)
            last = b""
            while not last.endswith(b"\r\n0\r\n\r\n"):
                last = (last + await attacker.receive())[-7:]

    with attendance() as service:
        check_in(service.port, token, "evt", 40_000)
        client, times = Client(service.port, token, timeout=10), []
        with attacked(service.port, attack, 50, receive_buffer=1 << 18):
            time.sleep(2)
            end = time.monotonic() + 10
            while time.monotonic() < end:
                answer = client.ask("POST", "/checkins", {"event_id": "gate", "ticket_id": str(len(times))})
                times.append(answer.seconds * 1000 if answer.status == 200 else float("inf"))
                time.sleep(0.01)
    times.sort()
    what = "50 readers of a compressed list of 40,000: a check-in"
    yield Row(f"{what}, median", "at most", 25, statistics.median(times), " ms")
    yield Row(f"{what}, 98th percentile", "at most", 150, times[len(times) * 98 // 100], " ms")


def postgres() -> Iterator[Row]:
    url = os.environ.get("TEST_POSTGRES_URL")
    if not url:
        print("postgres: skipped, for TEST_POSTGRES_URL names no database", file=sys.stderr)
        return
    token, other, event = token_of("panitia1"), token_of("admin1"), secrets.token_hex(8)
    whole_list = request("GET", f"/attendance/{event}", token=token)

    async def attack(attacker: Attacker, _: int) -> None:
        await attacker.send(whole_list)
        while True:
            await attacker.receive(1024)
            await asyncio.sleep(0.2)

    with attendance(DATABASE_URL=url) as service:
        check_in(service.port, token, event, 20_000, padding=1000)
        check_in(service.port, token, f"{event}-other", 10)
        with attacked(service.port, attack, 8):
            time.sleep(2)
            client, worst = Client(service.port, other, timeout=15), 0.0
            for _ in range(5):
                answer = client.ask("GET", f"/attendance/{event}-other")
                worst = max(worst, answer.seconds if answer.status == 200 else float("inf"))
    yield Row("PostgreSQL, 8 slow readers of a list: the list of another user", "at most", 2, worst, " s")


def connections() -> Iterator[Row]:
    token = token_of("panitia1")

    async def attack(attacker: Attacker, _: int) -> None:
        await attacker.send(b"GET /health HTTP/1.1\r\nX: ")
        while True:
            await asyncio.sleep(0.2)
            await attacker.send(b"x")

    with attendance() as service:
        gates = [Client(service.port, token) for _ in range(10)]
        answers = [gate.ask("GET", "/health") for gate in gates]
        # Less than an idle connection may stay by itself.
        with attacked(service.port, attack, 1100):
            time.sleep(7)
            for number, gate in enumerate(gates):
                answers.append(gate.ask("POST", "/checkins", {"event_id": "evt", "ticket_id": str(number)}))
    answered = sum(answer.status == 200 for answer in answers[len(gates) :])
    yield Row("1,100 connections that drip: requests of idle gates elsewhere that are answered, of 10", "at least", 9, answered)


def guard() -> Iterator[Row]:
    wrong = {"username": "panitia1", "password": "not it"}

    async def hang_up(port: int) -> None:
        with Attacker() as attacker:
            await attacker.connect(port)
            await attacker.send(request("POST", "/auth/login", json.dumps(wrong).encode()))
            await asyncio.sleep(0.03)

    with identity() as service:
        for _ in range(25):
            asyncio.run(hang_up(service.port))
            # bcrypt goes on for the one that hung up, and the next would be refused for want of room.
            time.sleep(0.4)
        # The delay that the last of them brought may just be over, so that the first of these may try.
        refused = [Client(service.port).ask("POST", "/auth/login", wrong).status for _ in range(3)].count(429)
    yield Row("25 wrong passwords, each hung up on: answered 429 of the next 3", "at least", 2, refused)


def log() -> Iterator[Row]:
    flood, seconds = request("GET", "/nothing/here") * 50, 5

    async def attack(attacker: Attacker, _: int) -> None:
        while True:
            await attacker.send(flood)
            for _ in range(4):
                await attacker.receive()

    with identity() as service:
        before = service.log_file.stat().st_size
        with attacked(service.port, attack, 32):
            time.sleep(seconds)
        written = (service.log_file.stat().st_size - before) / seconds / 1000
    yield Row("a flood of 404 with no token: written to the log in a second", "under", 100, written, " kB")


ATTACKS: dict[str, Callable[[], Iterator[Row]]] = {
    attack.__name__: attack for attack in (memory, store, logins, gzip, postgres, connections, guard, log)
}


def main(arguments: list[str]) -> int:
    is_check = "--check" in arguments
    names = [name for name in arguments if name != "--check"] or list(ATTACKS)
    if any(name not in ATTACKS for name in names):
        print(__doc__, file=sys.stderr)
        return 2
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))
    print("| what | target | measured | |\n|---|---|---|---|")
    missed = 0
    for name in names:
        for row in ATTACKS[name]():
            print(row.line, flush=True)
            missed += not row.is_met
    if missed:
        print(f"{missed} missed.", file=sys.stderr)
    return 1 if is_check and missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
