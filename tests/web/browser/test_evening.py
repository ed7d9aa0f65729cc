"""A committee's evening from nothing to the report, with the two pages alone. The pictures of docs/pictures are made here."""

import csv
import io
from datetime import datetime, timedelta, timezone

JAKARTA = timezone(timedelta(hours=7))
GUESTS = [f"TIKET-{number:04}" for number in range(1, 201)]
FIRST_NAMES = (
    "Siti Budi Dewi Agus Rina Joko Wayan Maria Andi Lestari Yohanes Putri Fajar Nur Ketut Hendra Ayu Rizky Indah Bayu".split()
)
LAST_NAMES = "Rahayu Santoso Siregar Pratama Wulandari Hutapea Kusuma Saragih Hidayat Tanuwijaya".split()
# With the comma of a degree, as names in a real list have it.
NAMES = [f"{first} {last}, S.Pd." for last in LAST_NAMES for first in FIRST_NAMES]

def test_an_evening(evening, tmp_path, picture):
    desk = evening.desk()
    event = create_event(evening, desk)
    import_tickets(evening, desk, tmp_path, picture)
    passes = [make_pass(evening, desk, name, picture) for name in ("Gerbang Utara", "Gerbang Selatan")]
    north, south = (evening.phone().at_the_gate(token) for token in passes)
    desk.section("board")

    # Half of them through each gate, and whoever comes twice is turned away at the other one.
    assert north.scan(GUESTS[0], then=lambda: picture(north, "gate-in")) == "in"
    for number in range(1, 20):
        assert (north, south)[number % 2].scan(GUESTS[number]) == "in"
    assert south.scan(GUESTS[2], then=lambda: picture(south, "gate-already")) == "already"
    for number in (5, 8):
        assert (south, north)[number % 2].scan(GUESTS[number]) == "already"
    assert north.scan("SAYA-TAMU-PANITIA") == "refused"

    # The network of one gate is away; the other goes on.
    south.network.cut()
    assert south.scan(GUESTS[21], then=lambda: picture(south, "gate-in-unsynced")) == "in-unsynced"
    for number in (20, *range(22, 40)):
        gate, verdict = ((north, "in"), (south, "in-unsynced"))[number % 2]
        assert gate.scan(GUESTS[number]) == verdict
    assert south.scan(GUESTS[7]) == "already", "known from before"
    assert south.scan("SAYA-JUGA-TAMU") == "refused"
    assert south.queue == 10
    south.network.heal()
    south.queue_is(0)

    for number in range(40, 60):
        assert (north, south)[number % 2].scan(GUESTS[number]) == "in"
    assert north.scan(GUESTS[21]) == "already", "came in while the other gate was offline"
    south.undo(GUESTS[59])
    south.until(lambda: GUESTS[59] not in evening.standing(), "it is undone")

    expected = set(GUESTS[:59])
    assert set(evening.standing()) == expected
    desk.until(lambda: desk.board() == (59, 200), f"the board ({desk.board()})")
    gates = desk.find("#board-gates .number")
    desk.until(lambda: sum(map(int, gates.all_inner_texts())) == 59, "the board by gate")
    picture(desk, "desk-board")
    report_agrees(evening, desk, event, expected, picture)


def create_event(evening, desk):
    desk.section("events")
    desk.find("#new-event").click()
    form = desk.find("#event-form")
    form.locator("[name=title]").fill("Malam Puncak Dies Natalis")
    form.locator("[name=location]").fill("Gedung Serbaguna")
    form.locator("[name=start_time]").fill("2026-12-01T19:00")
    form.locator("[name=end_time]").fill("2026-12-01T22:30")
    form.locator("button.primary").click()
    desk.says("Malam Puncak Dies Natalis")
    [event] = evening.ask("GET", "/events")
    assert event["start_time"] == "2026-12-01T19:00:00+07:00", "in the time of Jakarta"
    evening.event = event["id"]
    return event


def import_tickets(evening, desk, directory, picture):
    table = directory / "tamu.csv"
    lines = [f'{ticket},"{name}",{kind(ticket)}' for ticket, name in zip(GUESTS, NAMES, strict=True)]
    table.write_text("ticket_id,name,kind\n" + "\n".join(lines) + "\n")
    desk.section("tickets")
    desk.find("#import-file").set_input_files(table)
    desk.find("#import-preview").get_by_text(GUESTS[0]).first.wait_for()
    picture(desk, "desk-tickets")
    desk.find("#import-send").click()
    desk.find("#import-result").get_by_text("200").first.wait_for()
    listed = evening.ask("GET", f"/events/{evening.event}/tickets?limit=1000")
    assert listed["total"] == 200
    assert listed["tickets"][0]["name"] == NAMES[0]


def kind(ticket):
    return "VIP" if ticket.endswith("0") else "Reguler"


def make_pass(evening, desk, name, picture):
    desk.section("people")
    form = desk.find("#pass-form")
    form.locator("[name=name]").fill(name)
    form.locator("[name=event], [name=event_id]").select_option(evening.event)
    form.locator("[name=hours]").fill("12")
    form.locator("button.primary, button[type=submit]").first.click()
    link = desk.find("#pass-link")
    desk.until(lambda: link.count() and name in link.evaluate("(one) => document.body.innerText"), "the pass")
    desk.find("#pass-qr").wait_for()
    address = link.evaluate("(one) => one.href || one.value || one.textContent").strip()
    # The address of a test is one of this machine, which a phone cannot open, and the desk says so. At an event it has another.
    desk.page.evaluate("document.querySelectorAll('#pass .notice, #pass .copy').forEach((one) => (one.hidden = true))")
    picture(desk, "desk-pass")
    page, _, token = address.partition("#pass=")
    assert page == f"{desk.origin}/gate"
    return token


def report_agrees(evening, desk, event, expected, picture):
    desk.section("report")
    desk.find("#report-download").wait_for()
    desk.find("#report .figures").wait_for()
    picture(desk, "desk-report")
    with desk.page.expect_download() as download:
        desk.find("#report-download").click()
    table = csv.reader(io.StringIO(download.value.path().read_text("utf-8-sig")))
    head, *rows = list(table)
    assert len(head) == 5
    records = {one["ticket_id"]: one for one in evening.ask("GET", f"/attendance/{event['id']}")["records"]}
    assert [row[0] for row in rows] == list(records), "all of them, oldest first"
    assert set(records) == expected
    for ticket, name, of_kind, at, by in rows:
        came = datetime.fromisoformat(records[ticket]["checked_in_at"])
        assert at.startswith(f"{came.astimezone(JAKARTA):%Y-%m-%d %H:%M:%S}"), "in the time of Jakarta"
        assert (name, of_kind) == (NAMES[GUESTS.index(ticket)], kind(ticket))
        assert by == records[ticket]["checked_in_by"]
