"""The committee's laptop: the desk in a browser of its own."""

from window import LAPTOP, Window


class Desk(Window):
    def __init__(self, playwright, directory, network, identity_host, *, size=LAPTOP, **options):
        self.origin = f"http://127.0.0.1:{network.port}"
        hosts = {f"127.0.0.1:{network.port}", identity_host}
        super().__init__(playwright, directory / "profile", network, hosts, size=size, **options)

    def open(self):
        if not self.page:
            self.launch()
        self.page.goto(f"{self.origin}/desk")
        self.page.locator("#login:visible, #sections:visible").first.wait_for()
        return self

    def log_in(self, username="admin1", password="secret"):
        self.page.locator("#username").fill(username)
        self.page.locator("#password").fill(password)
        self.page.locator("#password").press("Enter")
        self.page.locator("#sections:visible").wait_for()
        return self

    def section(self, name):
        self.page.locator(f"[data-section={name}]:visible").first.click()
        self.page.locator(f"main#section[data-section={name}] h1").wait_for()

    def choose_event(self, event):
        self.page.locator("#event").select_option(event)

    def find(self, selector):
        return self.page.locator(selector)

    def yes(self):
        """Answers the question before something that cannot be taken back."""
        self.find("#confirm-yes").click()

    def says(self, *words):
        """Waits for a message with these words."""
        status = self.find("#status")
        self.until(lambda: all(word in status.inner_text() for word in words), f"a message with {words}")

    def search(self, words):
        self.section("search")
        self.find("#search").fill(words)
        self.find("#search").press("Enter")
        self.find("#results").get_by_text(words).first.wait_for()

    def act(self, action, ticket):
        """Presses the button of a ticket among the results."""
        row = self.find("#results").locator("tr, li, article").filter(has_text=ticket).first
        row.locator(f"[data-action={action}]").click()

    def board(self):
        """How many are in, of how many."""
        return tuple(int("".join(filter(str.isdigit, self.find(one).inner_text())) or 0) for one in ("#board-in", "#board-of"))
