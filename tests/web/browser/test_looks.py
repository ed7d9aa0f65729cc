"""The gate in every state, in both languages, in light and dark and at every size: axe finds nothing serious, nothing is
wider than the screen, and the keyboard alone is enough."""

import pytest

from window import LAPTOP, PHONE, SMALL_PHONE

TICKETS = [f"TIKET-{number:04}" for number in range(1, 9)]
ONE, TWO, THREE, FOUR, FIVE, *_ = TICKETS

LOOKS = [
    pytest.param(SMALL_PHONE, "id-ID", False, id="360-id-light"),
    pytest.param(PHONE, "en-GB", True, id="390-en-dark"),
    pytest.param(LAPTOP, "id-ID", False, id="1366-id-light"),
]
SAID = {
    "id-ID": {
        "in": "MASUK",
        "in-unsynced": "BELUM TERSINKRON",
        "already": "SUDAH MASUK",
        "just-now": "BARU SAJA DIPINDAI",
        "refused": "DITOLAK",
        "unsure": "TIDAK BISA DIPASTIKAN",
        "conflict": "KONFLIK",
    },
    "en-GB": {},
}


@pytest.mark.parametrize("size, locale, dark", LOOKS)
def test_every_state_of_the_gate(evening, picture, size, locale, dark):
    look = f"{size[0]}-{locale[:2]}-{'dark' if dark else 'light'}"
    evening.new_event("Konser Amal Akhir Tahun di Gedung Kesenian", tickets=TICKETS)
    phone = evening.phone(size=size, locale=locale, dark=dark)
    said = {}

    def look_at(name):
        picture(phone, f"{name}-{look}")
        phone.fits()
        phone.check_axe(f"{name}, {look}")

    def look_at_verdict(state):
        said[state] = phone.said.upper()
        look_at(state)
        assert phone.state == state, "until it was looked at"
        phone.release_verdicts()

    phone.open()
    phone.screen("login")
    look_at("login")
    phone.log_in()
    look_at("event")
    phone.start(evening.event)
    phone.list_is("ready")
    look_at("ready")

    phone.hold_verdicts()
    assert phone.scan(ONE) == "in"
    look_at_verdict("in")
    phone.hold_verdicts()
    phone.camera.show(TWO)
    assert phone.verdict(TWO) == "in"
    assert phone.type(TWO) == "just-now"
    phone.put_away()
    look_at_verdict("just-now")
    phone.hold_verdicts()
    assert phone.scan("BUKAN-TIKET") == "refused"
    look_at_verdict("refused")
    evening.check_in(THREE)
    phone.hold_verdicts()
    assert phone.scan(THREE) == "already"
    look_at_verdict("already")
    phone.network.cut()
    phone.hold_verdicts()
    assert phone.scan(FOUR) == "in-unsynced"
    look_at_verdict("in-unsynced")
    phone.page.locator("main[data-online=false]").wait_for()
    look_at("offline")
    evening.check_in(FOUR)
    phone.hold_verdicts()
    # It may not wait for what is held.
    phone.network.heal()
    phone.page.evaluate("dispatchEvent(new Event('online'))")
    phone.queue_is(0)
    phone.state_is("conflict")
    look_at_verdict("conflict")
    assert phone.scan(FIVE) == "in"
    phone.page.locator("#undo").click()
    look_at("undo")
    phone.page.locator("#undo-cancel").click()
    assert phone.page.evaluate("document.documentElement.lang") == locale[:2]
    for state, words in SAID[locale].items():
        if state in said:
            assert words in said[state], f"{state}: {said[state]!r}"
    assert len(set(said.values())) == len(said), "every verdict has its own words"


@pytest.mark.parametrize("size, locale, dark", LOOKS)
def test_the_question_when_nothing_is_sure(evening, picture, size, locale, dark):
    evening.new_event()
    phone = evening.phone(size=size, locale=locale, dark=dark)
    phone.open(evening.new_pass())
    phone.start()
    phone.list_is("open")
    phone.network.cut()
    assert phone.scan(ONE) == "unsure"
    phone.check_axe("unsure")
    phone.fits()
    picture(phone, f"unsure-{size[0]}-{locale[:2]}-{'dark' if dark else 'light'}")
    phone.allow(ONE)
    phone.network.heal()
    phone.queue_is(0)


def test_the_language_is_switched_and_stays(evening):
    evening.new_event(tickets=TICKETS)
    phone = evening.gate()
    assert phone.page.evaluate("document.documentElement.lang") == "id"
    before = phone.page.locator("body").inner_text()
    switch = phone.page.locator("#language")
    if switch.evaluate("(one) => one.localName") == "select":
        switch.select_option("en")
    else:
        switch.click()
    phone.until(lambda: phone.page.evaluate("document.documentElement.lang") == "en", "English")
    assert phone.page.locator("body").inner_text() != before
    assert phone.scan(ONE) == "in"
    assert "MASUK" not in phone.last_verdict["said"].upper()
    phone.kept_by_service_worker()
    phone.reload()
    assert phone.page.evaluate("document.documentElement.lang") == "en"
    phone.network.cut()
    phone.reload()
    assert phone.page.evaluate("document.documentElement.lang") == "en"


def test_the_keyboard_alone_is_enough(evening):
    evening.new_event(tickets=TICKETS)
    phone = evening.phone(camera="none", size=LAPTOP)
    phone.open()
    phone.screen("login")
    keys = phone.page.keyboard

    def go_to(selector):
        for _ in range(60):
            if phone.page.evaluate(f"document.activeElement?.matches('{selector}')"):
                return
            keys.press("Tab")
        raise AssertionError(f"{selector} cannot be reached with Tab")

    go_to("#username")
    keys.type("panitia1")
    keys.press("Tab")
    keys.type("secret", delay=5)
    keys.press("Enter")
    phone.screen("event")
    go_to("#start")
    keys.press("Enter")
    phone.screen("scan")
    phone.list_is("ready")
    go_to("#code")
    phone.forget_verdicts()
    keys.type(ONE, delay=60)
    keys.press("Enter")
    assert phone.verdict(ONE) == "in"
    go_to("#undo")
    keys.press("Enter")
    phone.page.locator("#undo-confirm").wait_for()
    go_to("#undo-confirm")
    keys.press("Enter")
    phone.undone[ONE] += 1
    phone.until(lambda: not evening.standing(), "it is undone")


def test_texts_twice_as_large_still_fit(evening):
    evening.new_event(tickets=TICKETS)
    phone = evening.gate(size=SMALL_PHONE)
    phone.page.evaluate("document.documentElement.style.fontSize = '200%'")
    assert phone.scan(ONE) == "in"
    phone.fits()
    assert phone.page.locator("#status").is_visible()


def test_every_thing_to_tap_is_large_enough(evening):
    evening.new_event(tickets=TICKETS)
    phone = evening.gate(size=SMALL_PHONE)
    assert phone.scan(ONE) == "in"
    small = phone.page.evaluate(
        """() => [...document.querySelectorAll('button, input, select, a.button')]
            .filter((one) => one.checkVisibility({visibilityProperty: true}))
            .map((one) => [one.id || one.outerHTML, one.getBoundingClientRect()])
            .filter(([, box]) => box.width < 44 || box.height < 44)
            .map(([name, box]) => `${name}: ${box.width} x ${box.height}`)"""
    )
    assert not small
