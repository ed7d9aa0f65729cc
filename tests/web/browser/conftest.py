import io
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import sync_playwright

from evening import Evening


def pytest_addoption(parser):
    parser.addoption("--binaries", type=Path, required=True, help="directory with both services")
    parser.addoption("--screenshots", type=Path, help="directory to save pictures of the pages to")


@pytest.fixture(scope="session")
def playwright():
    with sync_playwright() as started:
        yield started


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    item.stash.setdefault(PASSED, True)
    item.stash[PASSED] &= report.passed
    return report


PASSED = pytest.StashKey[bool]()


@pytest.fixture
def new_evening(request, tmp_path, playwright):
    """Makes the services with other settings than `evening`."""
    made = []

    def make(**settings):
        made.append(Evening(request.config.getoption("binaries").resolve(), tmp_path, playwright, **settings))
        return made[0]

    yield make
    for evening in made:
        try:
            if request.node.stash[PASSED]:
                end(evening)
            else:
                describe(evening)
        finally:
            evening.close()


@pytest.fixture
def evening(new_evening):
    return new_evening()


@pytest.fixture
def picture(request):
    """Saves what a window shows, for the documentation, where a directory for it was given."""
    directory = request.config.getoption("screenshots")

    def save(window, name, **options):
        if directory:
            directory.mkdir(parents=True, exist_ok=True)
            taken = Image.open(io.BytesIO(window.page.screenshot(**options))).convert("RGB")
            # A third of the bytes, and nobody sees the difference.
            taken.quantize(128, dither=Image.Dither.NONE).save(directory / f"{name}.png", optimize=True)

    return save


def end(evening):
    """What must hold after every test."""
    for phone in evening.phones:
        if phone.page:
            phone.queue_is(0)
    evening.count()
    for window in evening.windows:
        if window.page:
            window.fits()
        window.close()
        assert not window.faults, "\n".join(window.faults)


def describe(evening):
    """Prints what helps to understand a test that failed."""
    for window in evening.windows:
        print(f"--- {type(window).__name__} on {window.page.url if window.page else 'no page'}")
        if window.page:
            print(window.page.evaluate("JSON.stringify({...document.querySelector('main')?.dataset})"))
            print(window.page.locator("body").inner_text())
            print(window.page.evaluate("JSON.stringify(window.recorded?.verdicts)"))
        print("\n".join(window.faults))
    print(evening.attendance.log[-4000:])
