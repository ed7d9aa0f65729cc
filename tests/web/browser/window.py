"""A Chromium of its own with one tab, and what must hold in it for every page."""

import time
from pathlib import Path

from axe_playwright_python.base import AXE_FILE_PATH
from playwright.sync_api import Error

from services import AT_MOST

CHROMIUM = "/usr/bin/chromium"
OF_A_BAD_NETWORK = (
    "An unknown error occurred when fetching the script.",
    "Error while trying to use the following icon from the Manifest",
)
"""What Chromium says besides of files that did not come."""
HERE = Path(__file__).parent
PHONE, SMALL_PHONE, LAPTOP = (390, 844), (360, 740), (1366, 768)


class Window:
    """Keeps its profile when it is closed and opened again."""

    def __init__(self, playwright, profile, network, hosts, *, size=PHONE, locale="id-ID", dark=False, flags=()):
        self._playwright = playwright
        self._profile = profile
        self.network = network
        self._hosts = hosts
        self._size = size
        self._locale = locale
        self._dark = dark
        self._flags = list(flags)
        self._context = None
        self.page = None
        self.faults = []
        """What the pages did wrong, whatever the test is about."""

    def launch(self):
        width, height = self._size
        self._context = self._playwright.chromium.launch_persistent_context(
            self._profile,
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP *.test 127.0.0.1", *self._flags],
            viewport={"width": width, "height": height},
            has_touch=width < 800,
            locale=self._locale,
            timezone_id="Asia/Jakarta",
            color_scheme="dark" if self._dark else "light",
            accept_downloads=True,
        )
        self._context.set_default_timeout(AT_MOST * 1000)
        self._context.add_init_script(path=HERE / "recorder.js")
        self._context.on("console", self._console)
        self._context.on("weberror", lambda error: self.faults.append(f"uncaught: {error.error}"))
        self._context.on("request", self._request)
        self.page = self._context.pages[0]

    def _console(self, message):
        if message.type not in ("error", "warning"):
            return
        # Chromium itself says so of every request that a test cuts off or that a service refuses, and no page can prevent
        # it. Of a file of the page that is not there it would still be an error.
        url = message.location.get("url", "")
        if message.text.startswith("Failed to load resource") and ("net::ERR" in message.text or "/web/" not in url):
            return
        if self.network.was_bad and message.text.startswith(OF_A_BAD_NETWORK):
            return
        self.faults.append(f"console: {message.text} ({url})")

    def _request(self, request):
        scheme, _, rest = request.url.partition(":")
        if scheme in ("data", "blob", "about"):
            return
        if rest.removeprefix("//").split("/")[0] not in self._hosts:
            self.faults.append(f"asks another host: {request.url}")

    def close(self):
        """As when the browser is closed, or the system ends it."""
        if self._context:
            self._note_forbidden()
            self._context.close()
            self._context = self.page = None

    def _note_forbidden(self):
        try:
            forbidden = self.page.evaluate("window.recorded?.forbidden ?? []")
        except Error:
            return
        self.faults += [f"forbidden by the policy: {one}" for one in forbidden]

    def until(self, condition, what):
        """Waits until `condition` holds, and returns what it gave. Anything else of the page goes on meanwhile."""
        deadline = time.monotonic() + AT_MOST
        while not (result := condition()):
            assert time.monotonic() < deadline, f"not within {AT_MOST} s: {what}"
            self.page.wait_for_timeout(15)
        return result

    def fits(self):
        """The page is not wider than the screen."""
        widths = self.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert widths[0] <= widths[1], f"{widths[0]} px wide on a screen of {widths[1]} px"

    def check_axe(self, of="page"):
        """axe finds nothing serious in the state that the page is in."""
        self.page.evaluate(f"window.axe || (() => {{ {Path(AXE_FILE_PATH).read_text()} }})()")
        found = self.page.evaluate(
            """async () => {
                const ending = document.getAnimations().filter((one) => one.effect?.getComputedTiming().endTime < Infinity);
                await Promise.all(ending.map((one) => one.finished.catch(() => {})));
                return (await axe.run({resultTypes: ['violations']})).violations;
            }"""
        )
        serious = [
            f"{one['id']} ({one['impact']}): {one['help']}\n    "
            + "\n    ".join(f"{node['html'][:160]} {node['failureSummary']}" for node in one["nodes"][:4])
            for one in found
            if one["impact"] in ("serious", "critical")
        ]
        assert not serious, f"axe, {of}:\n" + "\n".join(serious)
