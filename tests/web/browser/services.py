"""identity-service and attendance-service, the real binaries, each on data of its own."""

import base64
import hashlib
import hmac
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

SECRET = "a secret of the browser tests, long enough for production"
AT_MOST = 60
"""Seconds that anything may take. Generous, for the machine may be busy compiling."""


class Refused(Exception):
    """A service answered with an error."""

    def __init__(self, status, body):
        super().__init__(f"{status}: {body}")
        self.status = status


class Service:
    """One of the binaries. It gets a port from the system once, and keeps port and data when it is started again."""

    def __init__(self, binary: Path, directory: Path, **settings: str):
        self.name = binary.name
        self._binary = binary
        self._directory = directory
        self._settings = settings
        self._process = None
        self._log = []
        self.port = 0
        directory.mkdir()
        self.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self):
        return "".join(self._log)

    def start(self):
        """Starts it and waits until it says on which port it listens."""
        deadline = time.monotonic() + AT_MOST
        while not self._listens():
            # Between an end and a new start, another program may get the port from the system for a moment.
            if "cannot listen" not in self._log[-1] or time.monotonic() > deadline:
                raise AssertionError(f"{self.name} does not start:\n{self.log}")
        self._reader = threading.Thread(target=self._log.extend, args=(self._process.stderr,), daemon=True)
        self._reader.start()

    def _listens(self):
        environment = {
            "PATH": os.environ["PATH"],
            "PORT": str(self.port),
            "JWT_SECRET": SECRET,
            "DATABASE_URL": f"sqlite://{self._directory}/",
            "REQUEST_TIMEOUT_SECONDS": "60",
            **self._settings,
        }
        self._process = subprocess.Popen(
            [self._binary], cwd=self._directory, env=environment, stderr=subprocess.PIPE, text=True
        )
        for line in self._process.stderr:
            self._log.append(line)
            if listens := re.search(r"is ready .*address=[0-9.]+:([0-9]+)", line):
                self.port = int(listens[1])
                return True
        self._process.wait()
        return False

    def stop(self):
        """Ends it as systemd or Docker would."""
        self._end(signal.SIGTERM)

    def kill(self):
        """Ends it as a power cut would."""
        self._end(signal.SIGKILL)

    def _end(self, how):
        self._process.send_signal(how)
        try:
            self._process.wait(AT_MOST)
        finally:
            self._process.kill()
        self._reader.join(AT_MOST)

    def close(self):
        if self._process.poll() is None:
            self.kill()

    def ask(self, method, path, json_body=None, token=None):
        """The JSON that answers a request."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        data = None
        if json_body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(json_body).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=AT_MOST) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise Refused(error.code, error.read().decode()) from error


def sign(lifetime=3600, **claims):
    """A token signed as identity-service signs, that is good for `lifetime` seconds."""
    now = int(time.time())
    parts = [{"alg": "HS256", "typ": "JWT"}, {"iat": now, "exp": now + lifetime, **claims}]
    signed = b".".join(_base64url(json.dumps(part).encode()) for part in parts)
    signature = hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()
    return (signed + b"." + _base64url(signature)).decode()


def _base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def free_port():
    """A port for a service that has to be told it before it starts; outside those that the system gives to clients."""
    for port in range(20000 + os.getpid() % 5000, 30000):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise AssertionError("no free port")
