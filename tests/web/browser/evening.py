"""One evening: both services, its events, tickets and phones, and at its end the count."""

from collections import Counter
from urllib.parse import quote

from desk import Desk
from network import Network
from phone import Phone
from services import Service, sign


class Evening:
    def __init__(self, binaries, directory, playwright, **settings):
        self._directory = directory
        self._playwright = playwright
        self.phones = []
        self.windows = []
        self.networks = []
        self.elsewhere = Counter()
        """How often a ticket was let in by somebody without a phone: another gate, or the desk."""
        self.undone_elsewhere = Counter()
        self.identity = Service(
            binaries / "identity-service",
            directory / "identity",
            CORS_ALLOWED_ORIGINS="*",
            BCRYPT_COST="4",
            LOGIN_GUARD="off",
            **settings,
        )
        self.identity_network = self.network(self.identity)
        self.attendance = Service(
            binaries / "attendance-service",
            directory / "attendance",
            IDENTITY_URL=self.identity_network.origin,
        )
        self.admin = sign(sub="admin1", role="admin")
        self.event = None

    def network(self, service):
        made = Network(service.port)
        self.networks.append(made)
        return made

    # What the committee does, here without its page.

    def ask(self, method, path, body=None, token=None):
        return self.attendance.ask(method, path, body, token or self.admin)

    def new_event(self, title="Konser Akhir Tahun", tickets=None):
        """A new event with a list of tickets, or with none, where any ticket is let in."""
        self.event = self.ask("POST", "/events", {"title": title})["id"]
        if tickets:
            listed = [{"ticket_id": one, "name": f"Tamu {one}"} for one in tickets]
            self.ask("PUT", f"/events/{self.event}/tickets", {"tickets": listed})
        return self.event

    def new_pass(self, name="Gerbang A", lifetime=3600):
        return sign(lifetime, sub=name, role="gate", event=self.event)

    def revoke(self, ticket):
        self.ask("DELETE", f"/events/{self.event}/tickets/{ticket}")

    def check_in(self, ticket, by="Pintu lain"):
        """Another gate lets a ticket in."""
        self.ask("POST", "/checkins", {"event_id": self.event, "ticket_id": ticket}, sign(sub=by, role="committee"))
        self.elsewhere[ticket] += 1

    # Phones and laptops.

    def desk(self, **options):
        """A laptop at which the admin is logged in."""
        return self._window(Desk, **options).open().log_in()

    def _window(self, kind, **options):
        directory = self._directory / f"window-{len(self.windows)}"
        directory.mkdir()
        identity_host = f"127.0.0.1:{self.identity_network.port}"
        made = kind(self._playwright, directory, self.network(self.attendance), identity_host, **options)
        self.windows.append(made)
        return made

    def phone(self, **options):
        """A phone that is not opened yet."""
        made = self._window(Phone, **options)
        self.phones.append(made)
        return made

    def gate(self, name="Gerbang A", **options):
        """A phone that is ready for the first guest."""
        return self.phone(**options).at_the_gate(self.new_pass(name))

    def gate_without_list(self):
        """A phone at an event that has no list of tickets."""
        phone = self.phone()
        phone.open(self.new_pass())
        phone.start()
        phone.list_is("open")
        return phone

    # The count.

    def history(self, ticket):
        return self.ask("GET", f"/attendance/{self.event}/tickets/{quote(ticket, safe='')}/history")["entries"]

    def kinds(self, ticket):
        return [entry["kind"] for entry in self.history(ticket)]

    def standing(self):
        """The tickets that are in, as the server says, each as often as it says so."""
        records = self.ask("GET", f"/attendance/{self.event}")["records"]
        return Counter(record["ticket_id"] for record in records)

    def count(self):
        """Every guest whom a phone let in is an entry of the server, once; nobody else is; and nobody stands twice."""
        if not self.event:
            return
        let_in = Counter(self.elsewhere)
        undone = Counter(self.undone_elsewhere)
        for phone in self.phones:
            let_in += phone.admitted
            undone += phone.undone
        standing = self.standing()
        assert set(standing) <= set(let_in), f"in, but let in by nobody: {set(standing) - set(let_in)}"
        for ticket, times in let_in.items():
            kinds = Counter(self.kinds(ticket))
            entries = kinds["checked_in"] + kinds["conflict"]
            assert entries == times, f"{ticket} was let in {times} times, the server has {dict(kinds)}"
            assert kinds["undone"] == undone[ticket], f"{ticket}: {dict(kinds)}, undone {undone[ticket]} times"
            assert standing[ticket] == kinds["checked_in"] - kinds["undone"] <= 1, f"{ticket}: {dict(kinds)}"

    def close(self):
        for window in self.windows:
            window.close()
        for phone in self.phones:
            if phone.camera:
                phone.camera.close()
        for network in self.networks:
            network.close()
        self.attendance.close()
        self.identity.close()
