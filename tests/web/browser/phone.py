"""A volunteer's phone at the gate: its browser, its camera, its network, and whom it has let in."""

from collections import Counter

from camera import Camera
from window import HERE, Window

VERDICTS = ("in", "in-unsynced", "already", "just-now", "refused", "unsure", "conflict")
LET_IN = ("in", "in-unsynced")


class Phone(Window):
    def __init__(
        self, playwright, directory, network, identity_host, *, camera="fake", host="127.0.0.1", patient=True, **options
    ):
        self._is_patient = patient
        self.origin = f"http://{host}:{network.port}"
        self.camera = Camera(directory / "camera.y4m") if camera == "fake" else None
        flags = {
            "fake": [
                "--use-fake-ui-for-media-stream",
                "--use-fake-device-for-media-stream",
                f"--use-file-for-fake-video-capture={directory / 'camera.y4m'}",
            ],
            "refused": ["--use-fake-ui-for-media-stream=deny", "--use-fake-device-for-media-stream"],
            "none": [],
        }[camera]
        hosts = {f"{host}:{network.port}", identity_host}
        super().__init__(playwright, directory / "profile", network, hosts, flags=flags, **options)
        self.admitted = Counter()
        """How often this phone said of a ticket that its guest is let in."""
        self.undone = Counter()
        self._seen = 0

    def launch(self):
        super().launch()
        self.page.context.add_init_script(path=HERE / "timers.js")
        if self._is_patient:
            self.page.context.add_init_script("timers.isPatient = true")

    # Getting in.

    def open(self, pass_token=None):
        """Opens the gate, with a pass where there is one."""
        if not self.page:
            self.launch()
        self._seen = 0
        self.page.goto(f"{self.origin}/gate" + (f"#pass={pass_token}" if pass_token else ""))
        self.shows_a_screen()

    def shows_a_screen(self):
        self.page.locator("main[data-screen]").wait_for()

    def reload(self):
        self.page.reload()
        self._seen = 0
        self.shows_a_screen()

    def log_in(self, username="panitia1", password="secret"):
        self.page.locator("#username").fill(username)
        self.page.locator("#password").fill(password)
        self.page.locator("#password").press("Enter")
        self.screen("event")

    def screen(self, name):
        self.page.locator(f"main[data-screen={name}]").wait_for()

    def start(self, event=None):
        """Chooses the event and taps Mulai."""
        self.screen("event")
        if event:
            self.page.locator("#event").select_option(event)
        self.page.locator("#start").click()
        self.screen("scan")
        if self.camera:
            self.camera_runs()

    def camera_runs(self):
        self.until(lambda: self.recorded("frames"), "the camera runs")

    def at_the_gate(self, pass_token):
        """Everything up to the first guest."""
        self.open(pass_token)
        self.start()
        self.list_is("ready", "open")
        return self

    def list_is(self, *states):
        self.page.locator(", ".join(f"main[data-list={state}]" for state in states)).wait_for()

    def asks_for_a_login(self):
        """The session or the pass has ended: the page says so, and what to do."""
        self.screen("login")
        self.until(self.page.locator("#notice").inner_text, "what is the matter")

    def goes_on_without_server(self):
        """Chooses to let guests in all the same."""
        self.page.locator("#notice button").click()
        self.screen("scan")

    def log_out(self):
        self.page.locator("#log-out").click()
        self.screen("login")

    def let_token_expire(self, expired):
        """Puts an expired token in the place of the one that the page has, as if its time had passed."""
        self.page.evaluate(
            """(token) => {
                const session = {...JSON.parse(localStorage['tixgo.session']), token};
                localStorage['tixgo.session'] = JSON.stringify(session);
                dispatchEvent(new StorageEvent('storage', {key: 'tixgo.session'}));
            }""",
            expired,
        )

    def another_tab(self):
        """The same page once more, in the same browser."""
        page = self._context.new_page()
        page.goto(f"{self.origin}/gate")
        page.locator("main[data-screen]").wait_for()
        return page

    def kept_by_service_worker(self):
        """Waits until the page can be opened without network."""
        self.page.evaluate("navigator.serviceWorker.ready.then(() => true)")

    def kept_files(self):
        """Paths of the files that the service worker keeps, once it has all."""
        self.kept_by_service_worker()
        return self.page.evaluate(
            """async () => {
                const [name] = await caches.keys();
                return (await (await caches.open(name)).keys()).map(({url}) => new URL(url).pathname);
            }"""
        )

    # What it shows.

    def recorded(self, what):
        return self.page.evaluate(f"window.recorded?.{what}")

    @property
    def state(self):
        return self.page.locator("main").get_attribute("data-state")

    @property
    def said(self):
        return self.page.locator("#status").inner_text()

    @property
    def queue(self):
        return int(self.page.locator("main").get_attribute("data-queue"))

    def queue_is(self, length):
        self.page.locator(f'main[data-queue="{length}"]').wait_for(state="attached")

    def state_is(self, state):
        self.page.locator(f"main[data-state={state}]").wait_for(state="attached")

    def hold_verdicts(self):
        """A verdict that is shown, or comes next, stays until `release_verdicts`."""
        self.page.evaluate("timers.areHeld = true")

    def release_verdicts(self):
        self.page.evaluate("timers.areHeld = false")
        self.state_is("ready")

    # Scanning.

    def scan(self, ticket, then=None, **how):
        """Holds a ticket in front of the camera until there is a verdict, and returns it; does `then` before it is put away."""
        self.forget_verdicts()
        self.camera.show(ticket, **how)
        verdict = self.verdict(ticket)
        if then:
            then()
        self.put_away()
        return verdict

    def put_away(self):
        """Takes the ticket away, and waits until no picture of it can come any more."""
        self.camera.blank()
        shade = self.camera.shade

        def gone():
            last, frames = self.page.evaluate("[recorded.pictures.at(-1), recorded.frames]")
            return last["shade"] == shade and frames >= last["frame"] + 3

        self.until(gone, "the ticket is out of sight")

    def type(self, ticket):
        """Types a ticket into the field, and returns the verdict."""
        self.forget_verdicts()
        self.page.locator("#code").fill(ticket)
        self.page.locator("#code").press("Enter")
        return self.verdict(ticket)

    def scan_with_keyboard(self, ticket):
        """Reads a ticket with a scanner that types, with no field in focus."""
        self.forget_verdicts()
        self.page.keyboard.type(ticket)
        self.page.keyboard.press("Enter")
        return self.verdict(ticket)

    def forget_verdicts(self):
        self._seen = len(self.recorded("verdicts"))

    def verdict(self, ticket):
        """The verdict that comes next; that of `ticket`."""
        said = self.until(lambda: self._new_verdict(ticket), f"a verdict of {ticket} ({self.state})")
        self.last_verdict = said
        if said["state"] in LET_IN:
            self.admitted[ticket] += 1
        return said["state"]

    def _new_verdict(self, ticket):
        new = self.recorded("verdicts")[self._seen :]
        return next((one for one in new if one["state"] in VERDICTS and one["ticket"] == ticket), None)

    def milliseconds_to_verdict(self):
        """From the first frame that showed the ticket to the last verdict of `scan`, by the clock of the page."""
        pictures = self.recorded("pictures")
        # The last picture is the blank one after it.
        return self.last_verdict["at"] - pictures[-2]["at"]

    def allow(self, ticket):
        """Lets in whom the phone is not sure of."""
        self.forget_verdicts()
        self.page.locator("#allow").click()
        assert self.verdict(ticket) == "in-unsynced"

    def undo(self, ticket):
        self.page.locator("#undo").click()
        self.page.locator("#undo-confirm").click()
        self.undone[ticket] += 1
