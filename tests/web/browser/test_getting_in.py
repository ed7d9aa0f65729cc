"""How a volunteer gets to the gate, and what works without a camera."""

import pytest

from window import LAPTOP

TICKETS = [f"TIKET-{number:04}" for number in range(1, 9)]
ONE, TWO, THREE, *_ = TICKETS


def test_a_pass_opens_the_gate_and_leaves_the_address(evening, picture):
    evening.new_event("Wisuda", tickets=TICKETS)
    phone = evening.phone()
    token = evening.new_pass()
    phone.open(token)
    phone.screen("event")
    assert phone.page.url == f"{phone.origin}/gate"
    phone.until(lambda: "Wisuda" in phone.page.locator("main").inner_text(), "the name of the event")
    picture(phone, "gate-event")
    phone.start()
    picture(phone, "gate-ready")
    assert not [request for request in phone.network.requests if token in request]
    assert phone.scan(ONE) == "in"


def test_a_pass_that_is_none_is_said_and_a_login_offered(evening):
    phone = evening.phone()
    phone.open("bukan-kartu")
    phone.screen("login")
    phone.until(lambda: "kartu" in phone.page.locator("#login-error").inner_text().lower(), "what is wrong")
    assert phone.page.url == f"{phone.origin}/gate"


def test_a_user_logs_in_chooses_the_event_and_lets_in(evening, picture):
    evening.new_event("Gladi", tickets=["GLADI-1"])
    event = evening.new_event("Wisuda", tickets=TICKETS)
    phone = evening.phone()
    phone.open()
    phone.screen("login")
    picture(phone, "gate-login")
    phone.page.locator("#username").fill("panitia1")
    phone.page.locator("#password").fill("salah")
    phone.page.locator("#password").press("Enter")
    phone.until(phone.page.locator("#login-error").inner_text, "what is wrong")
    assert "salah" in phone.page.locator("#login-error").inner_text()
    phone.log_in()
    phone.start(event)
    phone.list_is("ready")
    assert phone.scan(ONE) == "in"
    assert evening.history(ONE)[0]["by"] == "panitia1"


def test_the_login_says_so_where_identity_service_does_not_answer(evening):
    phone = evening.phone()
    phone.open()
    evening.identity_network.cut()
    phone.page.locator("#username").fill("panitia1")
    phone.page.locator("#password").fill("secret")
    phone.page.locator("#password").press("Enter")
    phone.until(phone.page.locator("#login-error").inner_text, "what is wrong")
    evening.identity_network.heal()
    phone.log_in()


def test_whoever_logged_in_stays_so_when_the_browser_was_closed(evening):
    event = evening.new_event(tickets=TICKETS)
    phone = evening.phone()
    phone.open()
    phone.log_in()
    phone.close()
    phone.open()
    phone.start(event)
    assert phone.scan(ONE) == "in"


def test_a_gate_has_a_name_and_the_scans_bear_it(evening):
    evening.new_event(tickets=TICKETS)
    phone = evening.phone()
    phone.open(evening.new_pass())
    phone.screen("event")
    phone.page.locator("#gate-name").fill("Pintu Utara")
    phone.start()
    phone.list_is("ready")
    assert phone.scan(ONE) == "in"
    phone.network.cut()
    assert phone.scan(TWO) == "in-unsynced"
    phone.network.heal()
    phone.queue_is(0)
    gates = [evening.history(ticket)[0]["gate"] for ticket in (ONE, TWO)]
    assert gates == ["Pintu Utara", "Pintu Utara"]


def test_a_scanner_that_types_works_at_any_time(evening):
    evening.new_event(tickets=TICKETS)
    phone = evening.gate(camera="none", size=LAPTOP)
    assert phone.scan_with_keyboard(ONE) == "in"
    assert phone.scan_with_keyboard(TWO) == "in"
    phone.page.locator("#language").focus()
    assert phone.scan_with_keyboard(THREE) == "in"
    assert evening.standing() == {ONE: 1, TWO: 1, THREE: 1}


def test_a_scanner_that_types_beside_a_camera(evening):
    evening.new_event(tickets=TICKETS)
    phone = evening.gate()
    assert phone.scan(ONE) == "in"
    assert phone.scan_with_keyboard(TWO) == "in"
    assert phone.type(THREE) == "in"


@pytest.mark.parametrize("camera", ["none", "refused"])
def test_without_a_camera_the_page_says_so_and_typing_works(evening, picture, camera):
    evening.new_event(tickets=TICKETS)
    phone = evening.phone(camera=camera)
    phone.open(evening.new_pass())
    phone.start()
    phone.list_is("ready")
    notice = phone.page.locator("#notice")
    phone.until(lambda: notice.is_visible() and notice.inner_text().strip(), "what is the matter")
    assert "kamera" in notice.inner_text().lower()
    picture(phone, f"gate-camera-{camera}")
    assert phone.type(ONE) == "in"
    assert phone.scan_with_keyboard(TWO) == "in"
    phone.check_axe(f"no camera ({camera})")


def test_over_plain_http_in_the_network_the_page_says_so_and_typing_works(evening):
    evening.new_event(tickets=TICKETS)
    phone = evening.phone(camera="none", host="gerbang.test")
    phone.open(evening.new_pass())
    assert not phone.page.evaluate("isSecureContext"), "or this shows nothing"
    phone.start()
    notice = phone.page.locator("#notice")
    phone.until(lambda: notice.is_visible() and notice.inner_text().strip(), "what is the matter")
    assert phone.type(ONE) == "in"
    assert phone.type("BUKAN-TIKET") == "refused"
    phone.list_is("ready")
    phone.network.cut()
    assert phone.type(TWO) in ("in-unsynced", "unsure")
    if phone.state == "unsure":
        phone.allow(TWO)
    phone.network.heal()
    phone.queue_is(0)


def test_logging_out_ends_the_session(evening):
    evening.new_event(tickets=TICKETS)
    phone = evening.phone()
    phone.open()
    phone.log_in()
    phone.start(evening.event)
    phone.log_out()
    phone.reload()
    phone.screen("login")
    assert phone.page.evaluate("localStorage.getItem('tixgo.session')") is None
