"""What breaks at a gate: the network at every point of a scan, the server, the token, the browser. Nothing is lost, nothing
counts twice."""

import pytest

from services import sign

TICKETS = [f"TIKET-{number:04}" for number in range(1, 9)]
ONE, TWO, THREE, *_ = TICKETS
CHECK_IN, BATCH = "POST /checkins", "POST /checkins/batch"


@pytest.mark.parametrize("fault", ["cut_before", "cut_after", "freeze_before", "freeze_after"])
def test_the_network_breaks_during_a_scan(evening, fault):
    evening.new_event(tickets=TICKETS)
    phone = evening.gate(patient=False)
    trap = getattr(phone.network, fault)(CHECK_IN)
    assert phone.scan(ONE) == "in-unsynced"
    trap.wait()
    assert phone.queue == 1
    assert evening.standing() == ({ONE: 1} if fault.endswith("after") else {})
    phone.network.heal()
    phone.queue_is(0)
    assert phone.state != "conflict", "with itself"
    assert evening.kinds(ONE) == ["checked_in"]


@pytest.mark.parametrize("fault", ["cut_before", "cut_after", "freeze_before", "freeze_after"])
def test_the_network_breaks_during_the_synchronising(evening, fault):
    evening.new_event(tickets=TICKETS)
    phone = evening.gate()
    phone.network.cut()
    for ticket in (ONE, TWO, THREE):
        assert phone.scan(ticket) == "in-unsynced"
    trap = getattr(phone.network, fault)(BATCH)
    phone.network.heal()
    phone.until(trap.sprung.is_set, "the queue was sent")
    assert phone.queue == 3, "until there is a receipt"
    assert len(evening.standing()) == (3 if fault.endswith("after") else 0)
    phone.network.heal()
    phone.queue_is(0)
    assert [evening.kinds(ticket) for ticket in (ONE, TWO, THREE)] == [["checked_in"]] * 3
    assert phone.state != "conflict", "with itself"


@pytest.mark.parametrize("fault", ["cut_before", "cut_after", "freeze_before", "freeze_after"])
def test_the_network_breaks_during_an_undo(evening, fault):
    evening.new_event(tickets=TICKETS)
    phone = evening.gate()
    assert phone.scan(ONE) == "in"
    trap = getattr(phone.network, fault)("DELETE /attendance/")
    phone.undo(ONE)
    trap.wait()
    phone.queue_is(1)
    assert phone.scan(ONE) == "in-unsynced", "as good as new"
    phone.network.heal()
    phone.queue_is(0)
    assert evening.kinds(ONE) == ["checked_in", "undone", "checked_in"]


def test_an_answer_that_comes_after_the_offline_verdict_changes_nothing(evening):
    evening.new_event(tickets=TICKETS)
    phone = evening.gate(patient=False)
    phone.network.delay = 3
    assert phone.scan(ONE) == "in-unsynced"
    phone.network.delay = 0
    phone.queue_is(0)
    assert evening.kinds(ONE) == ["checked_in"]


def test_the_service_is_killed_and_started_between_scans(evening):
    evening.new_event(tickets=TICKETS)
    phone = evening.gate()
    assert phone.scan(ONE) == "in"
    evening.attendance.kill()
    assert phone.scan(TWO) == "in-unsynced"
    evening.attendance.start()
    phone.queue_is(0)
    assert phone.scan(THREE) == "in"
    assert evening.standing() == {ONE: 1, TWO: 1, THREE: 1}


def test_the_service_is_killed_after_it_has_committed_and_before_it_answers(evening):
    evening.new_event(tickets=TICKETS)
    phone = evening.gate(patient=False)
    trap = phone.network.freeze_after(CHECK_IN)
    assert phone.scan(ONE) == "in-unsynced"
    trap.wait()
    evening.attendance.kill()
    phone.network.heal()
    evening.attendance.start()
    phone.queue_is(0)
    assert evening.kinds(ONE) == ["checked_in"]


def test_identity_service_is_away_and_the_gate_goes_on(evening):
    evening.new_event(tickets=TICKETS)
    phone = evening.phone()
    phone.open()
    phone.log_in()
    phone.start(evening.event)
    phone.list_is("ready")
    evening.identity.kill()
    assert phone.scan(ONE) == "in"
    phone.reload()
    phone.start(evening.event)
    assert phone.scan(TWO) == "in"
    evening.identity.start()


def test_a_token_that_expires_in_the_middle_is_renewed_unnoticed(evening):
    evening.new_event(tickets=TICKETS)
    phone = evening.phone()
    phone.open()
    phone.log_in()
    phone.start(evening.event)
    phone.list_is("ready")
    assert phone.scan(ONE) == "in"
    phone.let_token_expire(sign(-5, sub="panitia1", role="committee"))
    assert phone.scan(TWO) == "in"
    assert evening.history(TWO)[0]["by"] == "panitia1"


def test_after_a_session_was_ended_the_queue_waits_for_the_next_login(evening, picture):
    evening.new_event(tickets=TICKETS)
    phone = evening.phone()
    phone.open()
    phone.log_in()
    phone.start(evening.event)
    phone.list_is("ready")
    phone.network.cut()
    assert phone.scan(ONE) == "in-unsynced"
    evening.identity.ask("PATCH", "/users/panitia1", {"password": "lain-sekali"}, evening.admin)
    phone.let_token_expire(sign(-5, sub="panitia1", role="committee"))
    phone.network.heal()
    phone.asks_for_a_login()
    picture(phone, "gate-log-in-again")
    phone.goes_on_without_server()
    phone.camera_runs()
    assert phone.scan(TWO) == "in-unsynced", "nobody has to wait for it"
    assert phone.queue == 2
    phone.page.locator("#notice button").click()
    phone.log_in(password="lain-sekali")
    phone.queue_is(0)
    assert evening.history(ONE)[0]["by"] == "panitia1"


def test_after_a_pass_has_expired_the_queue_waits_for_the_next_pass(evening):
    evening.new_event(tickets=TICKETS)
    phone = evening.phone()
    phone.at_the_gate(evening.new_pass())
    phone.network.cut()
    assert phone.scan(ONE) == "in-unsynced"
    phone.let_token_expire(evening.new_pass(lifetime=-5))
    assert phone.scan(TWO) == "in-unsynced", "offline nobody can tell"
    phone.network.heal()
    phone.asks_for_a_login()
    assert phone.queue == 2
    phone.open(evening.new_pass("Gerbang B"))
    phone.queue_is(0)
    assert evening.standing() == {ONE: 1, TWO: 1}


def test_a_pass_that_expires_during_a_scan_lets_nobody_be_refused(evening):
    evening.new_event(tickets=TICKETS)
    phone = evening.gate()
    phone.let_token_expire(evening.new_pass(lifetime=-5))
    assert phone.scan(ONE) == "in-unsynced", "nobody is refused for it"
    phone.asks_for_a_login()
    phone.open(evening.new_pass())
    phone.queue_is(0)


def test_the_queue_survives_logging_out(evening):
    evening.new_event(tickets=TICKETS)
    phone = evening.gate()
    phone.network.cut()
    assert phone.scan(ONE) == "in-unsynced"
    phone.log_out()
    assert phone.queue == 1
    phone.network.heal()
    phone.open(evening.new_pass())
    phone.queue_is(0)


@pytest.mark.parametrize("state", ["ready", "in", "already", "refused", "just-now", "in-unsynced", "checking", "unsure"])
def test_a_reload_loses_nothing(evening, state):
    evening.new_event(tickets=None if state == "unsure" else TICKETS)
    phone = evening.gate_without_list() if state == "unsure" else evening.gate()
    match state:
        case "in":
            assert phone.scan(ONE) == "in"
        case "already":
            evening.check_in(ONE)
            assert phone.scan(ONE) == "already"
        case "refused":
            assert phone.scan("BUKAN-TIKET") == "refused"
        case "just-now":
            assert phone.scan(ONE) == "in"
            assert phone.scan(ONE) == "just-now"
        case "in-unsynced":
            phone.network.cut()
            assert phone.scan(ONE) == "in-unsynced"
        case "checking":
            phone.network.freeze()
            phone.camera.show(ONE)
            phone.state_is("checking")
            phone.put_away()
        case "unsure":
            phone.network.cut()
            assert phone.scan(ONE) == "unsure"
    kept = phone.queue
    phone.network.heal()
    phone.reload()
    if state == "in-unsynced":
        assert kept == 1
    phone.start()
    phone.queue_is(0)
    if state == "checking":
        # The guest has been told nothing, or that he may go in.
        phone.admitted[ONE] = len(evening.kinds(ONE))
    assert phone.scan(TWO) == "in"


def test_a_browser_that_is_closed_and_opened_without_network_goes_on(evening):
    evening.new_event(tickets=TICKETS)
    phone = evening.gate()
    assert phone.scan(ONE) == "in"
    phone.kept_by_service_worker()
    phone.network.cut()
    assert phone.scan(TWO) == "in-unsynced"
    phone.close()
    phone.open()
    assert phone.queue == 1
    phone.start()
    phone.list_is("ready")
    assert phone.scan(THREE) == "in-unsynced"
    assert phone.scan(ONE) == "already"
    assert phone.scan(TWO) == "already"
    phone.network.heal()
    phone.queue_is(0)
    assert evening.standing() == {ONE: 1, TWO: 1, THREE: 1}


def test_closing_with_a_queue_warns(evening):
    evening.new_event(tickets=TICKETS)
    phone = evening.gate()
    phone.network.cut()
    assert phone.scan(ONE) == "in-unsynced"
    asked = []
    phone.page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    phone.page.close(run_before_unload=True)
    phone.until(lambda: asked, "a question")
    assert asked == ["beforeunload"]
    phone.network.heal()
    phone.queue_is(0)


def test_in_two_tabs_a_queue_is_sent_once(evening):
    evening.new_event(tickets=TICKETS)
    phone = evening.gate()
    phone.kept_by_service_worker()
    phone.network.cut()
    assert phone.scan(ONE) == "in-unsynced"
    other = phone.another_tab()
    phone.network.heal()
    phone.queue_is(0)
    other.locator('main[data-queue="0"]').wait_for(state="attached")
    assert evening.kinds(ONE) == ["checked_in"]


def test_a_decoder_that_the_network_kept_away_is_fetched_again(evening):
    evening.new_event(tickets=TICKETS)
    phone = evening.phone(patient=False)
    phone.network.cut_before("GET /web/qr-worker.js")
    phone.open(evening.new_pass())
    phone.network.heal()
    phone.start()
    assert phone.scan(ONE) == "in"
