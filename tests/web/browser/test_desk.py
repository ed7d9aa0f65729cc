"""What a committee does at the desk."""

import pytest

from window import LAPTOP, PHONE, SMALL_PHONE

SECTIONS = ["events", "tickets", "people", "board", "search", "report", "drill", "account"]
TICKETS = [f"TIKET-{number:04}" for number in range(1, 31)]
ONE, TWO, THREE, *_ = TICKETS
LOOKS = [
    pytest.param(SMALL_PHONE, "id-ID", False, id="360-id-light"),
    pytest.param(PHONE, "en-GB", True, id="390-en-dark"),
    pytest.param(LAPTOP, "id-ID", False, id="1366-id-light"),
]


@pytest.mark.parametrize("size, locale, dark", LOOKS)
def test_every_section_of_the_desk(evening, picture, size, locale, dark):
    look = f"{size[0]}-{locale[:2]}-{'dark' if dark else 'light'}"
    evening.new_event("Konser Amal Akhir Tahun di Gedung Kesenian", tickets=TICKETS)
    for ticket in TICKETS[:12]:
        evening.check_in(ticket)
    desk = evening.desk(size=size, locale=locale, dark=dark)
    for section in SECTIONS:
        desk.section(section)
        if section == "board":
            desk.until(lambda: desk.board() == (12, 30), "the board")
        if section == "search":
            desk.search(ONE)
        desk.page.locator("[aria-busy=true]").wait_for(state="detached")
        desk.check_axe(f"{section}, {look}")
        desk.fits()
        picture(desk, f"desk-{section}-{look}", full_page=True)


def test_the_login_of_the_desk(evening, picture):
    evening.new_event()
    desk = evening.desk()
    desk.find("#log-out").click()
    desk.find("#username").fill("panitia1")
    desk.find("#password").fill("salah")
    desk.find("#password").press("Enter")
    desk.until(lambda: "salah" in desk.find("#login-error").inner_text(), "what is wrong")
    desk.check_axe("login")
    picture(desk, "desk-login")
    desk.log_in("panitia1")
    assert desk.find("[data-section=board]").first.is_visible()
    assert not desk.find("[data-section=people]").first.is_visible(), "for admins"


def test_an_event_is_changed_and_deleted(evening):
    event = evening.new_event("Rapat")
    desk = evening.desk()
    desk.section("events")
    row = desk.find("#events").locator("tr").filter(has_text="Rapat")
    row.get_by_role("button", name="Rapat").first.click()
    form = desk.find("#event-form")
    form.locator("[name=title]").fill("Rapat Besar")
    form.locator("button.primary").click()
    desk.find("#events").get_by_text("Rapat Besar").wait_for()
    assert evening.ask("GET", f"/events/{event}")["title"] == "Rapat Besar"
    desk.find("#events").locator("button.danger").click()
    desk.find("#confirm-no").click()
    assert evening.ask("GET", f"/events/{event}"), "asked first"
    desk.find("#events").locator("button.danger").click()
    desk.check_axe("question")
    desk.yes()
    desk.until(lambda: not evening.ask("GET", "/events"), "it is deleted")
    evening.event = None


def test_bad_lines_of_an_import_are_named_and_nothing_is_imported(evening, tmp_path, picture):
    event = evening.new_event()
    desk = evening.desk()
    desk.section("tickets")
    table = tmp_path / "rusak.csv"
    table.write_text("ticket_id;name\nA-1;Ani\n;Tanpa nomor\nA-2;Budi\n")
    desk.find("#import-file").set_input_files(table)
    send = desk.find("#import-send")
    errors = desk.find("#import-errors")
    desk.until(lambda: (send.is_visible() and send.is_enabled()) or errors.is_visible(), "a preview")
    if not errors.is_visible():
        send.click()
    desk.until(lambda: errors.is_visible() and "3" in errors.inner_text(), "the line")
    desk.check_axe("errors of an import")
    picture(desk, "desk-import-errors")
    assert evening.ask("GET", f"/events/{event}/tickets")["total"] == 0


def test_a_pasted_column_is_imported(evening):
    event = evening.new_event()
    desk = evening.desk()
    desk.section("tickets")
    desk.find("#import-paste").fill("\n".join(TICKETS))
    desk.find("#import-preview td, #import-preview th").get_by_text(TICKETS[0]).first.wait_for()
    desk.find("#import-send").click()
    desk.find("#import-result").get_by_text("30").first.wait_for()
    assert evening.ask("GET", f"/events/{event}/tickets")["total"] == 30


def test_tickets_are_made(evening):
    event = evening.new_event()
    desk = evening.desk()
    desk.section("tickets")
    form = desk.find("#generate-form")
    form.locator("[name=count]").fill("25")
    form.locator("button").last.click()
    desk.until(lambda: evening.ask("GET", f"/events/{event}/tickets")["total"] == 25, "they are made")


def test_a_ticket_is_found_checked_in_undone_and_revoked(evening, picture):
    event = evening.new_event(tickets=TICKETS)
    desk = evening.desk()
    desk.search(ONE)
    desk.act("check-in", ONE)
    evening.elsewhere[ONE] += 1
    desk.until(lambda: evening.standing() == {ONE: 1}, "it is in")
    desk.find("#results [data-action=history]").first.click()
    picture(desk, "desk-search")
    desk.check_axe("history")
    desk.page.keyboard.press("Escape")
    desk.search(ONE)
    desk.act("undo", ONE)
    if desk.find("#confirm").is_visible():
        desk.yes()
    desk.until(lambda: not evening.standing(), "it is out")
    evening.undone_elsewhere[ONE] += 1
    assert evening.kinds(ONE) == ["checked_in", "undone"]
    desk.search(TWO)
    desk.act("revoke", TWO)
    desk.yes()
    desk.until(lambda: listed(evening, event, TWO)["revoked"], "it is revoked")


def listed(evening, event, ticket):
    [found] = evening.ask("GET", f"/events/{event}/tickets?q={ticket}")["tickets"]
    return found


def test_the_board_follows_what_happens_at_the_gates(evening):
    evening.new_event(tickets=TICKETS)
    desk = evening.desk()
    desk.section("board")
    desk.until(lambda: desk.board() == (0, 30), "the board")
    for ticket in TICKETS[:7]:
        evening.check_in(ticket)
    desk.until(lambda: desk.board() == (7, 30), "seven are in")
    desk.network.cut()
    evening.check_in(TICKETS[7])
    desk.find("#offline").wait_for()
    desk.network.heal()
    desk.until(lambda: desk.board() == (8, 30), "and goes on after the network was away")
    evening.attendance.kill()
    evening.attendance.start()
    evening.check_in(TICKETS[8])
    desk.until(lambda: desk.board() == (9, 30), "and after the service was killed")


def test_a_user_is_made_and_logs_in_at_a_gate(evening):
    evening.new_event(tickets=TICKETS)
    desk = evening.desk()
    desk.section("people")
    form = desk.find("#user-form")
    form.locator("[name=username]").fill("sukarelawan")
    form.locator("[name=password]").fill("rahasia-sekali")
    form.locator("button.primary, button[type=submit]").first.click()
    desk.page.get_by_text("sukarelawan").first.wait_for()
    phone = evening.phone()
    phone.open()
    phone.log_in("sukarelawan", "rahasia-sekali")
    phone.start(evening.event)
    assert phone.scan(ONE) == "in"
    assert evening.history(ONE)[0]["by"] == "sukarelawan"


def test_a_conflict_of_two_gates_is_shown_at_the_desk(evening, picture):
    evening.new_event(tickets=TICKETS)
    phone = evening.gate()
    phone.network.cut()
    assert phone.scan(ONE) == "in-unsynced"
    evening.check_in(ONE)
    phone.network.heal()
    phone.queue_is(0)
    desk = evening.desk()
    desk.section("search")
    desk.page.locator("#section").get_by_text(ONE).first.wait_for()
    picture(desk, "desk-conflict")


def test_without_identity_service_the_desk_goes_on_with_what_it_can(evening):
    evening.new_event(tickets=TICKETS)
    desk = evening.desk()
    evening.identity_network.cut()
    desk.section("people")
    desk.until(lambda: desk.find("#section .error").count(), "says so")
    desk.check_axe("identity-service is away")
    desk.section("board")
    desk.until(lambda: desk.board() == (0, 30), "the board")
    evening.identity_network.heal()
