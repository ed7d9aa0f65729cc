"""Each line of the table of verdicts, and whether the server agrees with what the phone says."""

import re

import pytest

TICKETS = [f"TIKET-{number:04}" for number in range(1, 9)]
ONE, TWO, THREE, *_ = TICKETS


def test_a_ticket_of_the_list_is_let_in_once_the_server_has_committed_it(evening, picture):
    evening.new_event(tickets=TICKETS)
    phone = evening.gate()
    assert phone.scan(ONE) == "in"
    assert "MASUK" in phone.last_verdict["said"].upper()
    assert "BELUM" not in phone.last_verdict["said"].upper()
    assert evening.standing() == {ONE: 1}, "committed before it is said"
    assert evening.history(ONE)[0]["by"] == "Gerbang A"
    picture(phone, "gate-in")


def test_any_ticket_is_let_in_once_where_the_event_has_no_list(evening):
    evening.new_event()
    phone = evening.gate()
    assert phone.scan("apa saja") == "in"
    evening.check_in("lain")
    assert phone.scan("lain") == "already"


def test_a_ticket_that_came_in_elsewhere_is_refused_with_when_and_by_whom(evening, picture):
    evening.new_event(tickets=TICKETS)
    phone = evening.gate()
    evening.check_in(ONE, by="Pintu Timur")
    assert phone.scan(ONE) == "already"
    said = phone.last_verdict["said"]
    assert "SUDAH MASUK" in said.upper()
    assert "Pintu Timur" in said
    at = evening.history(ONE)[0]["at"]
    minutes = f"{(int(at[11:13]) + 7) % 24:02}[.:]{at[14:16]}"
    assert re.search(minutes, said), f"{minutes} in {said!r}"
    picture(phone, "gate-already")


def test_a_ticket_that_is_held_up_again_at_once_is_neither_refused_nor_sent(evening):
    evening.new_event(tickets=TICKETS)
    phone = evening.gate()
    assert phone.scan(ONE) == "in"
    sent = len(phone.network.requests)
    assert phone.scan(ONE) == "just-now"
    assert "BARU SAJA" in phone.last_verdict["said"].upper()
    assert not [request for request in phone.network.requests[sent:] if "checkins" in request]


def test_a_ticket_that_stays_in_front_of_the_camera_gets_one_verdict(evening):
    evening.new_event(tickets=TICKETS)
    phone = evening.gate()
    phone.forget_verdicts()
    phone.camera.show(ONE)
    assert phone.verdict(ONE) == "in"
    seen = phone.recorded("frames")
    phone.until(lambda: phone.recorded("frames") > seen + 30, "the camera goes on for a second")
    assert phone.state == "in", "not covered by another verdict"
    phone.put_away()


@pytest.mark.parametrize("network", ["online", "offline"])
def test_who_is_not_on_the_list_is_refused(evening, picture, network):
    evening.new_event(tickets=TICKETS)
    phone = evening.gate()
    if network == "offline":
        phone.network.cut()
    assert phone.scan("BUKAN-TIKET") == "refused"
    assert "DITOLAK" in phone.last_verdict["said"].upper()
    assert "daftar" in phone.last_verdict["said"], "and why"
    picture(phone, "gate-refused")
    phone.network.heal()
    assert phone.queue == 0


@pytest.mark.parametrize("network", ["online", "offline"])
def test_a_revoked_ticket_is_refused(evening, network):
    evening.new_event(tickets=TICKETS)
    evening.revoke(ONE)
    phone = evening.gate()
    if network == "offline":
        phone.network.cut()
    assert phone.scan(ONE) == "refused"
    assert "batal" in phone.last_verdict["said"], "and why"
    phone.network.heal()


def test_a_ticket_of_another_event_is_refused(evening):
    evening.new_event("Kemarin", tickets=["KEMARIN-1"])
    evening.new_event(tickets=TICKETS)
    phone = evening.gate()
    assert phone.scan("KEMARIN-1") == "refused"


def test_a_pass_of_another_event_lets_nobody_in_here(evening):
    evening.new_event(tickets=TICKETS)
    other = evening.new_event("Lain")
    phone = evening.gate()
    assert phone.page.locator("#event").count() == 0 or phone.page.locator("#event").input_value() == other
    assert phone.scan(ONE) == "in", "of the event of the pass, which has no list"
    assert evening.ask("GET", f"/attendance/{other}")["total_checked_in"] == 1


def test_offline_a_ticket_of_the_list_is_let_in_kept_and_synchronised(evening, picture):
    evening.new_event(tickets=TICKETS)
    phone = evening.gate()
    phone.network.cut()
    assert phone.scan(ONE) == "in-unsynced"
    assert "BELUM TERSINKRON" in phone.last_verdict["said"].upper()
    assert phone.queue == 1
    picture(phone, "gate-in-unsynced")
    assert phone.scan(TWO) == "in-unsynced"
    assert phone.queue == 2
    assert evening.standing() == {}
    phone.network.heal()
    phone.queue_is(0)
    assert list(evening.standing()) == [ONE, TWO], "in their order"


def test_offline_a_ticket_that_this_phone_let_in_is_known(evening):
    evening.new_event(tickets=TICKETS)
    phone = evening.gate()
    assert phone.scan(ONE) == "in"
    phone.network.cut()
    assert phone.scan(TWO) == "in-unsynced"
    assert phone.scan(ONE) == "already"
    assert phone.scan(TWO) == "already"
    phone.network.heal()
    phone.queue_is(0)


def test_offline_a_ticket_that_others_let_in_before_is_known(evening):
    evening.new_event(tickets=TICKETS)
    evening.check_in(ONE)
    phone = evening.gate()
    phone.network.cut()
    assert phone.scan(ONE) == "already"
    phone.network.heal()


def test_back_online_a_phone_knows_what_others_did_before_its_next_verdict(evening):
    evening.new_event(tickets=TICKETS)
    phone = evening.gate()
    phone.network.cut()
    assert phone.scan(ONE) == "in-unsynced"
    evening.check_in(TWO)
    phone.network.heal()
    phone.queue_is(0)
    phone.page.locator("main[data-online=true]").wait_for()
    phone.network.cut()
    assert phone.scan(TWO) == "already"
    phone.network.heal()


def test_offline_without_a_list_the_volunteer_decides(evening, picture):
    evening.new_event()
    phone = evening.gate_without_list()
    phone.network.cut()
    assert phone.scan(ONE) == "unsure"
    assert "TIDAK BISA DIPASTIKAN" in phone.last_verdict["said"].upper()
    picture(phone, "gate-unsure")
    phone.allow(ONE)
    phone.queue_is(1)
    assert phone.scan(TWO) == "unsure"
    phone.page.locator("#deny").click()
    phone.until(lambda: phone.state != "unsure", "it is decided")
    assert phone.queue == 1
    phone.network.heal()
    phone.queue_is(0)
    assert evening.standing() == {ONE: 1}


def test_a_phone_that_got_no_list_is_not_sure(evening):
    evening.new_event(tickets=TICKETS)
    phone = evening.phone()
    phone.open(evening.new_pass())
    phone.kept_by_service_worker()
    phone.network.cut()
    phone.start()
    assert phone.scan(ONE) == "unsure"
    phone.allow(ONE)
    phone.queue_is(1)
    phone.network.heal()
    phone.queue_is(0)
    phone.list_is("ready")
    assert phone.scan(TWO) == "in"


def test_a_server_that_is_slow_is_waited_for_a_second_and_asked_with_the_same_key(evening, picture):
    evening.new_event(tickets=TICKETS)
    phone = evening.gate(patient=False)
    phone.network.freeze()
    assert phone.scan(ONE) == "in-unsynced"
    verdicts = [one for one in phone.recorded("verdicts") if one["state"] in ("checking", "in-unsynced")]
    checking, decided = verdicts[-2:]
    assert (checking["state"], decided["state"]) == ("checking", "in-unsynced")
    assert "MEMERIKSA" in checking["said"].upper()
    assert decided["at"] - checking["at"] < 5000, "a second, and what a busy machine takes"
    phone.network.heal()
    phone.queue_is(0)
    assert evening.kinds(ONE) == ["checked_in"]


def test_two_phones_offline_with_the_same_ticket_give_one_conflict(evening, picture):
    evening.new_event(tickets=TICKETS)
    first, second = evening.gate("Gerbang A"), evening.gate("Gerbang B")
    for phone in (first, second):
        phone.network.cut()
        assert phone.scan(ONE) == "in-unsynced"
    first.network.heal()
    first.queue_is(0)
    second.network.heal()
    second.queue_is(0)
    second.state_is("conflict")
    assert "KONFLIK" in second.said.upper()
    assert "1" in second.page.locator("#conflicts").inner_text()
    picture(second, "gate-conflict")
    assert evening.kinds(ONE) == ["checked_in", "conflict"]
    assert evening.standing() == {ONE: 1}


def test_a_gate_whose_event_was_deleted_closes(evening):
    evening.new_event("Lain", tickets=TICKETS)
    event = evening.new_event(tickets=TICKETS)
    phone = evening.phone()
    phone.open()
    phone.log_in()
    phone.start(event)
    phone.list_is("ready")
    evening.ask("DELETE", f"/events/{event}")
    assert phone.type("BUKAN-TIKET") == "in", "the service lets in whoever comes where there is no event"
    phone.screen("event")
    assert phone.page.locator("#event-error").inner_text() == "Acara ini sudah dihapus. Pilih acara lagi."
    assert phone.page.locator(f"#event option[value='{event}']").count() == 0


def test_a_pass_whose_event_was_deleted_opens_no_gate_and_loses_nothing(evening):
    event = evening.new_event(tickets=TICKETS)
    phone = evening.gate()
    phone.network.cut()
    assert phone.type(ONE) == "in-unsynced"
    evening.ask("DELETE", f"/events/{event}")
    phone.network.heal()
    phone.queue_is(0)
    assert phone.type(TWO) == "in"
    phone.screen("event")
    phone.until(lambda: "tidak ada lagi" in phone.page.locator("#event-error").inner_text(), "why")
    phone.until(phone.page.locator("#start").is_disabled, "a pass is for one event")


def test_the_last_admission_is_undone_with_one_tap_and_one_question(evening, picture):
    evening.new_event(tickets=TICKETS)
    phone = evening.gate()
    assert phone.scan(ONE) == "in"
    phone.page.locator("#undo").click()
    phone.page.locator("#undo-cancel").click()
    assert evening.standing() == {ONE: 1}, "asked first"
    phone.page.locator("#undo").click()
    picture(phone, "gate-undo")
    phone.page.locator("#undo-cancel").click()
    phone.undo(ONE)
    phone.until(lambda: not evening.standing(), "it is undone")
    phone.queue_is(0)
    assert phone.scan(ONE) == "in", "as good as new"


def test_nobody_is_let_in_behind_the_question_about_undoing(evening):
    evening.new_event(tickets=TICKETS)
    phone = evening.gate()
    assert phone.scan(ONE) == "in"
    phone.page.locator("#undo").click()
    phone.camera.show(TWO)
    seen = phone.recorded("frames")
    phone.until(lambda: phone.recorded("frames") > seen + 15, "the camera goes on for half a second")
    assert phone.page.locator("#undo-question").is_visible()
    phone.put_away()
    phone.page.locator("#undo-confirm").click()
    phone.undone[ONE] += 1
    phone.until(lambda: not evening.standing(), "the guest who was asked about is undone")
    assert phone.scan(TWO) == "in"


def test_a_question_ends_with_the_gate(evening):
    evening.new_event(tickets=TICKETS)
    phone = evening.gate()
    assert phone.scan(ONE) == "in"
    phone.page.locator("#undo").click()
    phone.page.evaluate("localStorage.clear(); dispatchEvent(new StorageEvent('storage', {key: 'tixgo.session'}))")
    phone.screen("login")
    assert not phone.page.locator("#undo-question").is_visible()


def test_a_phone_that_cannot_keep_a_scan_says_so_until_it_can(evening):
    evening.new_event(tickets=TICKETS)
    phone = evening.gate()
    phone.page.evaluate(
        """() => {
            window.add = IDBObjectStore.prototype.add;
            IDBObjectStore.prototype.add = () => { throw new DOMException('no room', 'QuotaExceededError'); };
        }"""
    )
    phone.page.locator("#code").fill(ONE)
    phone.page.locator("#code").press("Enter")
    notice = phone.page.locator("#notice")
    phone.until(lambda: "tidak bisa menyimpannya" in notice.inner_text(), "that it does not count")
    assert evening.standing() == {}
    phone.page.evaluate("() => { IDBObjectStore.prototype.add = window.add }")
    assert phone.type(TWO) == "in"
    phone.until(lambda: "tidak bisa menyimpannya" not in notice.inner_text(), "it is over")
    phone.faults = [one for one in phone.faults if "no room" not in one]
    assert len(phone.faults) == 0


def test_a_code_that_comes_before_the_guest_is_decided_about_is_not_lost(evening):
    evening.new_event()
    phone = evening.gate_without_list()
    phone.network.cut()
    assert phone.type(ONE) == "unsure"
    phone.page.locator("#code").fill(TWO)
    phone.page.locator("#code").press("Enter")
    hint = phone.page.locator("#decide-first")
    hint.wait_for()
    assert hint.inner_text() == "Putuskan dulu tamu ini."
    assert phone.page.locator("#code").input_value() == TWO
    phone.allow(ONE)
    assert not hint.is_visible()
    phone.forget_verdicts()
    phone.page.locator("#code").press("Enter")
    assert phone.verdict(TWO) == "unsure"
    phone.allow(TWO)
    phone.network.heal()
    phone.queue_is(0)


def test_a_scan_that_the_server_never_takes_is_forgotten_after_a_question(evening):
    evening.new_event(tickets=TICKETS)
    phone = evening.gate()
    phone.network.cut()
    assert phone.type(ONE) == "in-unsynced"
    phone.page.evaluate(
        """async () => {
            const {openStore} = await import('/web/gate/store.js');
            const store = await openStore();
            const [scan] = await store.scans();
            await store.write({putScan: {...scan, held: {why: 'unacceptable', status: 422}}});
        }"""
    )
    phone.network.heal()
    phone.page.locator("#conflicts button").click()
    assert ONE in phone.page.locator("#forget-question").inner_text()
    phone.page.locator("#forget-cancel").click()
    assert phone.queue == 1, "asked first"
    phone.page.locator("#conflicts button").click()
    phone.check_axe("the question about forgetting")
    phone.page.locator("#forget-confirm").click()
    phone.queue_is(0)
    del phone.admitted[ONE]


def test_an_undo_without_network_is_said_or_kept_but_not_lost(evening):
    evening.new_event(tickets=TICKETS)
    phone = evening.gate()
    phone.network.cut()
    assert phone.scan(ONE) == "in-unsynced"
    if phone.page.locator("#undo").is_visible() and phone.page.locator("#undo").is_enabled():
        phone.undo(ONE)
    phone.network.heal()
    phone.queue_is(0)
