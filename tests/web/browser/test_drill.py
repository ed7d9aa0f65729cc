"""The rehearsal, from both sides: the desk leads, a phone does what the desk says."""

from urllib.parse import urlsplit

LATE_MS = 4_000
"""How long a scan waits on the phone. The desk takes one for late after 3 seconds; people are told to wait 5."""


def begin(desk, name):
    """Begins the drill for one phone, and returns the link of its pass, as the code on the desk has it."""
    desk.section("drill")
    desk.find("#drill-form [name=phones]").fill(name)
    with desk.page.expect_request(lambda request: request.method == "POST" and request.url.endswith("/qr")) as drawn:
        desk.find("#drill-form button.primary").click()
    desk.find("#drill-pass").wait_for()
    return drawn.value.post_data_json["text"]


def next_ticket(desk, *scanned):
    """The ticket whose code the desk shows, once it shows one that was not scanned yet."""
    code = desk.find("#drill-code:has(svg)")

    def shown():
        ticket = code.get_attribute("data-ticket") if code.count() else None
        return ticket not in scanned and ticket

    return desk.until(shown, "the code of the next step")


def test_a_drill_shows_that_a_phone_is_ready_and_leaves_nothing_behind(evening, picture):
    real = evening.new_event()
    desk = evening.desk()
    link = urlsplit(begin(desk, "Gerbang Utara"))
    [evening.event] = [event["id"] for event in evening.ask("GET", "/events") if event["id"] != real]
    assert link.path == "/gate"

    phone = evening.phone().at_the_gate(link.fragment.removeprefix("pass="))
    desk.find("[data-action=joined]").click()
    first = next_ticket(desk)
    assert phone.scan(first) == "in"

    second = next_ticket(desk, first)
    phone.network.cut()
    assert phone.scan(second) == "in-unsynced"
    phone.page.wait_for_timeout(LATE_MS)
    assert not desk.find("[data-action=heard]").count(), "the scan has not arrived yet"
    picture(desk, "desk-drill-late")
    phone.network.heal()
    phone.queue_is(0)

    desk.find("[data-action=heard]").wait_for()
    desk.check_axe("a step of the drill")
    desk.find("[data-action=heard]").click()
    ready = desk.find("#drill .phones li.ready")
    ready.wait_for()
    assert ready.locator(".mark.yes").count() == 4, "camera, queue, sync and sound"
    picture(desk, "desk-drill-ready")

    desk.find("#drill-end").click()
    desk.find("#drill-summary li").get_by_text("Gerbang Utara").wait_for()
    assert [event["id"] for event in evening.ask("GET", "/events")] == [real]
    assert desk.find("#event").input_value() == real, "the desk is still at the real event"
