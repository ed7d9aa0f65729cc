"""The figures that gate.md asks of the gate. They are printed, and fail where they are missed."""

import statistics
import urllib.request

import pytest

pytestmark = pytest.mark.measures
TICKETS = [f"TIKET-{number:04}" for number in range(1, 41)]


@pytest.fixture
def tell(capsys):
    def say(line):
        with capsys.disabled():
            print(f"\n  {line}")

    return say


@pytest.mark.parametrize("network, limit", [("online", 200), ("offline", 100)])
def test_from_the_picture_to_the_verdict(evening, tell, network, limit):
    evening.new_event(tickets=TICKETS)
    phone = evening.gate(patient=False)
    if network == "offline":
        phone.network.cut()
        phone.page.locator("main[data-online=false]").wait_for()
    took = []
    for turn, ticket in enumerate(TICKETS[:25]):
        assert phone.scan(ticket, turned=turn * 4 - 48) == ("in" if network == "online" else "in-unsynced")
        took.append(phone.milliseconds_to_verdict())
    phone.network.heal()
    phone.queue_is(0)
    median = statistics.median(took)
    tell(f"from the picture to the verdict, {network}: median {median:.0f} ms, of {min(took):.0f} to {max(took):.0f} ms")
    assert median <= limit


@pytest.mark.parametrize("locale", ["id-ID", "en-US"])
def test_the_gate_page_with_everything_it_loads_is_light(evening, tell, locale):
    evening.new_event(tickets=TICKETS)
    phone = evening.phone(locale=locale)
    phone.launch()
    asked = set()
    phone.page.context.on("request", lambda request: asked.add(request.url.split("#")[0].removeprefix(phone.origin)))
    phone.at_the_gate(evening.new_pass())
    assert phone.scan(TICKETS[0]) == "in"
    # The workers ask for their modules by themselves.
    loaded = {name: size(phone, name) for name in asked | set(phone.kept_files()) if name == "/gate" or name.startswith("/web/")}
    total = sum(loaded.values())
    tell(f"the gate page, {locale}: {len(loaded)} files, {total / 1024:.1f} KiB compressed, with what is kept for later")
    assert {"/gate", "/web/gate/main.js", "/web/gate/gate.css", "/web/qr.js"} <= set(loaded)
    assert total <= 60 * 1024, loaded


def size(phone, name):
    """Bytes of a file as the service sends it."""
    request = urllib.request.Request(phone.origin + name, headers={"Accept-Encoding": "gzip"})
    with urllib.request.urlopen(request) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        return len(answer.read())


def test_opened_again_without_network_it_is_ready_within_a_second(evening, tell):
    evening.new_event(tickets=TICKETS)
    phone = evening.gate()
    phone.kept_by_service_worker()
    phone.network.cut()
    took = []
    for _ in range(3):
        phone.close()
        phone.open()
        phone.screen("event")
        phone.page.locator("#start:enabled").wait_for()
        took.append(phone.recorded("screens.at(-1).at"))
    tell(f"opened again without network: ready within {', '.join(f'{one:.0f}' for one in took)} ms")
    assert min(took) <= 1000
    phone.network.heal()
    phone.start()
