"""What curl and wrk cannot do. Standard library only.

client.py check-in ADDRESS EVENT FIRST COUNT   checks in COUNT tickets, numbered from FIRST
client.py write FILE EVENT FIRST COUNT [keys]  the same, into the SQLite file of a service that does not run
client.py events ADDRESS COUNT                 makes COUNT events, and prints their ids on one line
client.py tickets ADDRESS EVENT FIRST COUNT    puts COUNT tickets on the list of an event, and prints the seconds that took
client.py write-tickets FILE EVENTS COUNT      events with COUNT tickets each, into such a file
client.py look ADDRESS EVENT LOOKERS           looks on live until it is ended; says "looking" once all do
client.py first-answer BINARY RUNS             milliseconds from exec to the first 200 on /health, median
client.py login-flood ADDRESS LOGINS           name and value of every figure, one a line
client.py list-readers ADDRESS EVENT READERS SECONDS ENCODING
                                               the same, of check-ins while READERS read one list again and again

The token is in the environment variable TOKEN. Numbers of tickets have ten digits.
"""

import gzip
import http.client
import json
import multiprocessing
import os
import selectors
import signal
import socket
import sqlite3
import statistics
import sys
import time
import uuid

TIMEOUT = 30


def connect(address):
    host, port = address.split(":")
    connection = socket.create_connection((host, int(port)), TIMEOUT)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def post(path, body, *headers):
    head = [f"POST {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json", *headers]
    return "\r\n".join([*head, f"Content-Length: {len(body)}", "", body]).encode()


def bearer():
    return "Authorization: Bearer " + os.environ["TOKEN"]


def check_in(address, event, first, count):
    # Pipelined, for a million one by one take minutes. A batch fits into the socket buffers of both sides.
    batch = 100
    connection = connect(address)
    first, count = int(first), int(count)
    for begin in range(first, first + count, batch):
        tickets = range(begin, min(begin + batch, first + count))
        requests = [post("/checkins", f'{{"event_id":"{event}","ticket_id":"{n}"}}', bearer()) for n in tickets]
        connection.sendall(b"".join(requests))
        answers = b""
        while answers.count(b'"}}') < len(tickets):
            received = connection.recv(1 << 16)
            answers += received
            if not received or answers.count(b"HTTP/1.1 ") > answers.count(b"HTTP/1.1 200"):
                sys.exit(f"a check-in was refused: {answers[-500:].decode(errors='replace')}")


def write(path, event, first, count, keys=None):
    now = time.time_ns() // 1000
    tickets = range(int(first), int(first) + int(count))
    rows = ((event, n, "panitia1", now, str(uuid.UUID(int=n)) if keys else None) for n in tickets)
    database = sqlite3.connect(path)
    database.executemany(
        "INSERT INTO check_ins (event_id, ticket_id, checked_in_by, checked_in_at, idempotency_key) VALUES (?, ?, ?, ?, ?)",
        rows,
    )
    database.commit()
    database.close()


def ask(address, method, path, body, content_type):
    connection = http.client.HTTPConnection(address, timeout=TIMEOUT)
    headers = {"Content-Type": content_type, **dict([bearer().split(": ")])}
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    content = response.read()
    if response.status != 200:
        sys.exit(f"{method} {path} was answered {response.status}: {content[:500].decode(errors='replace')}")
    return json.loads(content)


def events(address, count):
    made = [ask(address, "POST", "/events", '{"title":"Konser"}', "application/json") for _ in range(int(count))]
    print(*(event["id"] for event in made))


# 20 characters.
NAME = "Siti Rahayu Kusuma W"


def tickets(address, event, first, count):
    lines = (f"{n},{NAME}" for n in range(int(first), int(first) + int(count)))
    body = "\r\n".join(["ticket_id,name", *lines, ""]).encode()
    begin = time.monotonic()
    counts = ask(address, "PUT", f"/events/{event}/tickets", body, "text/csv")
    took = time.monotonic() - begin
    if counts["added"] != int(count):
        sys.exit(f"not all tickets are on the list: {counts}")
    print(f"{took:.2f}")


def write_tickets(path, events, count):
    database = sqlite3.connect(path)
    for event in range(int(events)):
        row = (event + 1, str(uuid.UUID(int=event, version=4)), "Konser", "admin1", time.time_ns() // 1000)
        database.execute("INSERT INTO events (seq, event_id, title, created_by, created_at) VALUES (?, ?, ?, ?, ?)", row)
        rows = ((event + 1, f"{n:012}", NAME) for n in range(int(count)))
        database.executemany("INSERT INTO tickets (event, ticket_id, name) VALUES (?, ?, ?)", rows)
    database.commit()
    database.close()


def look(address, event, lookers):
    request = [f"GET /attendance/{event}/live HTTP/1.1", "Host: localhost", bearer(), "", ""]
    selector = selectors.DefaultSelector()
    for _ in range(int(lookers)):
        connection = connect(address)
        connection.sendall("\r\n".join(request).encode())
        if not connection.recv(1 << 16).startswith(b"HTTP/1.1 200 "):
            sys.exit("a looker was refused")
        selector.register(connection, selectors.EVENT_READ)
    print("looking", flush=True)
    while True:
        for key, _ in selector.select():
            if not key.fileobj.recv(1 << 16):
                sys.exit("a looker lost its connection")


def first_answer(binary, runs):
    print(f"{statistics.median(start_once(binary) for _ in range(int(runs))) * 1000:.1f}")


def start_once(binary):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    null = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in range(3)]
    begin = time.monotonic()
    process = os.posix_spawn(binary, [binary], {"PORT": str(port)}, file_actions=null)
    try:
        # No sleep between the attempts: it would be longer than what is measured.
        while time.monotonic() < begin + TIMEOUT:
            try:
                with socket.create_connection(("127.0.0.1", port), TIMEOUT) as connection:
                    connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    if connection.recv(4096).startswith(b"HTTP/1.1 200 "):
                        return time.monotonic() - begin
            except (ConnectionRefusedError, ConnectionResetError):
                pass
        sys.exit(f"{binary} did not answer on /health within {TIMEOUT} s")
    finally:
        os.kill(process, signal.SIGTERM)
        os.waitpid(process, 0)


def poll(address, path, stop, answer):
    """Asks again and again on one connection, and tells the worst latency at the end."""
    connection = http.client.HTTPConnection(address, timeout=TIMEOUT)
    worst = polls = 0
    while not stop.is_set():
        begin = time.monotonic()
        connection.request("GET", path, headers=dict([bearer().split(": ")]))
        response = connection.getresponse()
        response.read()
        worst = max(worst, time.monotonic() - begin)
        polls += 1
        if response.status != 200:
            sys.exit(f"{path} was answered {response.status}")
        # So that the client leaves the cores to the server.
        time.sleep(0.001)
    answer.send((worst, polls))


def login_flood(address, logins):
    logins = int(logins)
    stop = multiprocessing.Event()
    pollers = []
    for path in ("/health", "/auth/me"):
        receiver, sender = multiprocessing.Pipe(duplex=False)
        process = multiprocessing.Process(target=poll, args=(address, path, stop, sender), daemon=True)
        process.start()
        sender.close()
        pollers.append((path, receiver))
    time.sleep(0.5)

    wrong = post("/auth/login", '{"username":"panitia1","password":"not it"}')
    connections = [connect(address) for _ in range(logins)]
    selector = selectors.DefaultSelector()
    begin = time.monotonic()
    for connection in connections:
        connection.sendall(wrong)
        selector.register(connection, selectors.EVENT_READ)
    refused = retry_after = others = 0
    last_refusal = last_answer = 0.0
    while selector.get_map() and time.monotonic() < begin + TIMEOUT:
        for key, _ in selector.select(1):
            answer = key.fileobj.recv(4096)
            last_answer = time.monotonic() - begin
            selector.unregister(key.fileobj)
            if answer.startswith(b"HTTP/1.1 503 "):
                refused += 1
                last_refusal = last_answer
                retry_after += b"\r\nretry-after: " in answer.lower()
            elif not answer.startswith(b"HTTP/1.1 400 "):
                others += 1
    others += len(selector.get_map())

    # The honest one keeps the right password, and gets in as soon as the flood is over.
    begin = time.monotonic()
    login = http.client.HTTPConnection(address, timeout=TIMEOUT)
    right = '{"username":"panitia1","password":"secret"}'
    login.request("POST", "/auth/login", right, {"Content-Type": "application/json"})
    status = login.getresponse().status
    honest = time.monotonic() - begin

    stop.set()
    for path, receiver in pollers:
        try:
            worst, polls = receiver.recv()
        except EOFError:
            sys.exit(f"polling {path} failed; see above")
        print(path, f"{worst * 1000:.1f}", polls)
    print("checked", logins - refused - others, f"{last_answer:.2f}")
    print("refused", refused, f"{last_refusal:.3f}")
    print("without_retry_after", refused - retry_after)
    print("others", others)
    print("honest", f"{honest:.2f}", status)


def read_lists(address, request, count, stop, answer):
    """Keeps COUNT connections busy with one request each, and tells how many answers were whole."""
    selector = selectors.DefaultSelector()
    tails = {}
    for _ in range(count):
        connection = connect(address)
        connection.sendall(request)
        selector.register(connection, selectors.EVENT_READ)
        tails[connection] = b""
    lists = received = 0
    end = b"]}" if b"identity" in request else b"\r\n0\r\n\r\n"
    while not stop.is_set():
        for key, _ in selector.select(0.1):
            connection = key.fileobj
            data = connection.recv(1 << 18)
            if not data:
                sys.exit("a reader lost its connection")
            received += len(data)
            tails[connection] = (tails[connection] + data)[-len(end) :]
            if tails[connection] == end:
                lists += 1
                connection.sendall(request)
    answer.send((lists, received))


def list_readers(address, event, readers, seconds, encoding):
    path = f"/attendance/{event}"
    headers = {"Authorization": bearer().split(": ")[1], "Accept-Encoding": encoding}
    connection = http.client.HTTPConnection(address, timeout=TIMEOUT)
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    body = response.read()
    if response.status != 200 or response.headers.get("Content-Encoding", "identity") != encoding:
        sys.exit(f"not the list that was asked for: {response.status} {response.headers}")
    content = json.loads(gzip.decompress(body) if encoding == "gzip" else body)
    if len(content["records"]) != content["total_checked_in"]:
        sys.exit("the list is not whole")
    request = [f"GET {path} HTTP/1.1", "Host: localhost", *(f"{name}: {value}" for name, value in headers.items())]
    request = "\r\n".join([*request, "", ""]).encode()

    stop = multiprocessing.Event()
    receiver, sender = multiprocessing.Pipe(duplex=False)
    arguments = (address, request, int(readers), stop, sender)
    process = multiprocessing.Process(target=read_lists, args=arguments, daemon=True)
    process.start()
    sender.close()
    time.sleep(0.5)

    gate = connect(address)
    latencies = []
    begin = time.monotonic()
    while time.monotonic() < begin + float(seconds):
        asked = time.monotonic()
        gate.sendall(post("/checkins", f'{{"event_id":"{event}","ticket_id":"{encoding}-{len(latencies)}"}}', bearer()))
        answer = gate.recv(1 << 16)
        latencies.append(time.monotonic() - asked)
        if not answer.startswith(b"HTTP/1.1 200 "):
            sys.exit(f"a check-in was refused: {answer.decode(errors='replace')}")
        # A person with a scanner, many times as fast.
        time.sleep(0.01)
    stop.set()
    try:
        lists, received = receiver.recv()
    except EOFError:
        sys.exit("the readers failed; see above")
    quantiles = statistics.quantiles(latencies, n=50)
    print("median", f"{statistics.median(latencies) * 1000:.1f}")
    print("p98", f"{quantiles[-1] * 1000:.1f}", len(latencies))
    print("lists", f"{lists / float(seconds):.0f}", f"{received / 1e6 / float(seconds):.0f}")
    print("list_bytes", len(body))


COMMANDS = {
    "check-in": check_in,
    "write": write,
    "events": events,
    "tickets": tickets,
    "write-tickets": write_tickets,
    "look": look,
    "first-answer": first_answer,
    "login-flood": login_flood,
    "list-readers": list_readers,
}

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        sys.exit(__doc__)
    COMMANDS[sys.argv[1]](*sys.argv[2:])
