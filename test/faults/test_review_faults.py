"""What goes wrong while somebody labels, in real Chromium: each label is stored exactly once, or visibly not at all."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import APIResponse, Browser, BrowserContext, Error, Page, Route, expect

from mmal_ros.session.folder import SessionFolder
from rigs.browser import CHROMIUM, NETWORK, PAGE_TIMEOUT_MS, Visitor, until
from rigs.fault_log import Outcome, keep, seconds_until
from rigs.killed_server import KilledServer
from rigs.labelling import TEN, VALUES, all_saved, at, labels, press, standing
from rigs.small_disk import SmallDisk

LONGEST_S = 0.05
"""About as long as it takes from a key to its answer, so that a kill meets every part of it."""


@pytest.fixture
def session(recorded: SessionFolder, tmp_path: Path) -> SessionFolder:
    return copied(recorded, tmp_path / "sessions")


def copied(recorded: SessionFolder, root: Path) -> SessionFolder:
    return SessionFolder(Path(shutil.copytree(recorded.path, root / recorded.name)))


@pytest.fixture
def server(session: SessionFolder, tmp_path: Path) -> Iterator[KilledServer]:
    server = KilledServer(session.path.parent, tmp_path / "models")
    yield server
    server.kill()


@pytest.fixture
def visit(browser: Browser, server: KilledServer) -> Iterator[Callable[[], Visitor]]:
    """Somebody comes with a browser of their own."""
    came: list[Visitor] = []

    def somebody() -> Visitor:
        came.append(Visitor(browser, server))
        return came[-1]

    yield somebody
    for one in came:
        one.close()
        assert [words for words in one.wrong if NETWORK not in words] == []


def seconds(page: Page, words: str) -> float:
    """How long it takes until the page says this of what is saved."""
    began = time.monotonic()
    expect(page.locator("#saved")).to_contain_text(words)
    return time.monotonic() - began


def shown(page: Page) -> list[str]:
    """What the page shows of every clip, in the order of time."""
    markers = "[...document.querySelectorAll('#timeline .marker')]"
    seen = page.evaluate(f"{markers}.map((one) => [one.textContent, one.getAttribute('class')])")
    return [words.split("of-")[1].split()[0] for _, words in sorted(seen)]


def values(keys: Iterable[str]) -> list[str]:
    return [VALUES[int(key) - 1] for key in keys]


@pytest.mark.parametrize("kills", [2, pytest.param(30, marks=[pytest.mark.soak, pytest.mark.timeout(600)])])
def test_a_server_killed_between_key_and_answer_has_each_label_once(server, session, visit, kills):
    """It is killed at any moment after a key; the next one wants its own link, as `mmal review` prints it."""
    dice, visitor, said = random.Random(kills), visit(), []
    for _ in range(kills):
        page = visitor.review(session.name)
        keys = dice.choices("12345", k=4)
        press(page, keys[:3])
        time.sleep(dice.uniform(0, LONGEST_S))
        server.kill()
        page.keyboard.press(keys[3])
        told_s = seconds(page, "kept in this browser, not yet saved")
        server.start()
        page.goto(server.link)
        page = visitor.review(session.name)
        saved_s = seconds(page, "All answers saved")
        said += values(keys)
        assert [label.value for label in labels(session)] == said
        keep(Outcome("review server killed between key and answer", "SIGKILL", told_s, saved_s))


def test_a_double_click_is_one_answer(session, visit):
    """The second click would label the next clip, which nobody has seen."""
    page = visit().review(session.name)
    page.locator("button.of-high").dblclick()
    at(page, 2)
    page.locator("button.of-low").click(click_count=3)
    at(page, 3)
    all_saved(page)
    assert [label.value for label in labels(session)] == ["high", "low"]
    expect(page.locator("#progress-words")).to_have_text("2 of 10")
    keep(Outcome("double click on an answer", "two and three clicks in real Chromium"))


def test_an_answer_that_is_saved_while_the_page_is_being_read_is_shown(session, visit):
    page = visit().review(session.name)
    at(page, 1)
    page.route("**/labels", lambda route: route.abort())
    page.keyboard.press("2")
    expect(page.locator("#saved")).to_contain_text("1 answer kept in this browser")
    page.unroute("**/labels")
    read: list[tuple[Route, APIResponse]] = []
    page.route("**/labels", lambda route: route.continue_() if read else route.abort())
    page.route(re.compile(r"/api/sessions/[^/]+\?annotator="), lambda route: read.append((route, route.fetch())))
    page.on("dialog", lambda question: question.accept())  # whether to leave with an answer that is not saved
    page.reload(wait_until="commit")
    until(page, "!Object.keys(localStorage).some((place) => place.startsWith('mmal.outbox.'))")
    assert [label.value for label in labels(session)] == ["medium"]
    ((route, before),) = read
    route.fulfill(response=before)
    expect(page.locator("#progress-words")).to_have_text("1 of 10")
    assert shown(page)[0] == "medium"


def test_answers_outlive_a_server_of_other_sessions(server, session, visit, tmp_path):
    """The one that has them comes back after another one was at the same address, as after `mmal run --page`."""
    page = visit().review(session.name)
    server.kill()
    press(page, "12")
    expect(page.locator("#saved")).to_contain_text("2 answers kept in this browser")
    page.on("dialog", lambda question: question.accept())  # whether to leave with answers that are not saved
    other = copied(session, tmp_path / "others")
    renamed = SessionFolder(other.path.rename(other.path.with_name("2026-11-20_P018_07")))
    server.start(renamed.path.parent)
    page.goto(server.link)
    page.goto(f"{server.address}/session/{renamed.name}")
    stranded = "2 answers without a place on this server, kept in this browser"
    expect(page.locator("#saved")).to_have_text(f"All answers saved · {stranded}")
    at(page, 1)
    press(page, "3")
    expect(page.locator("#progress-words")).to_have_text("1 of 10")
    expect(page.locator("#saved")).to_have_text(f"All answers saved · {stranded}")
    assert [label.value for label in labels(renamed)] == ["high"]
    server.kill()
    server.start(session.path.parent)
    page.goto(server.link)
    page.goto(f"{server.address}/session/{session.name}")
    all_saved(page)
    assert [label.value for label in labels(session)] == ["low", "medium"]
    keep(Outcome("review server of other sessions", "at the same address, while answers wait"))


def test_an_answer_to_a_clip_that_is_not_flagged_is_kept_and_keeps_no_later_one_from_being_saved(session, visit):
    """As when the folder was taken from a backup: it is the oldest, and is sent first."""
    page = visit().review(session.name)
    body = {"window_id": "123456789", "value": "high", "annotator": "C1", "note": "", "request": "0" * 32}
    item = {"place": "mmal.outbox.1.0", "session": session.name, "act": "labels", "body": body}
    page.evaluate("item => localStorage.setItem(item.place, JSON.stringify(item))", item)
    press(page, "12")
    stranded = "1 answer without a place on this server, kept in this browser"
    expect(page.locator("#saved")).to_have_text(f"All answers saved · {stranded}")
    assert [label.value for label in labels(session)] == ["low", "medium"]
    page.reload()
    expect(page.locator("#saved")).to_have_text(f"All answers saved · {stranded}")
    keep(Outcome("answer to a clip that is not flagged", "the oldest that waits"))


def test_a_session_that_takes_nothing_is_in_no_other_sessions_way(session, visit):
    """Its answer is the oldest that waits, and its database is damaged."""
    other = copied(session, session.path.parent / "aside")
    damaged = SessionFolder(other.path.rename(session.path.with_name("2026-11-20_P018_07")))
    damaged.labels.write_bytes(b"no database")
    body = {"window_id": "1", "value": "high", "annotator": "C1", "note": "", "request": "0" * 32}
    item = {"place": "mmal.outbox.1.0", "session": damaged.name, "act": "labels", "body": body}
    page = visit().review(session.name)
    page.evaluate("item => localStorage.setItem(item.place, JSON.stringify(item))", item)
    press(page, "12")
    expect(page.locator("#saved")).to_contain_text("1 answer kept in this browser, not yet saved")
    assert [label.value for label in labels(session)] == ["low", "medium"]
    keep(Outcome("session whose database is damaged", "the oldest answer that waits is of it"))


def test_an_answer_that_the_browser_has_no_room_for_is_not_shown_as_given(session, visit):
    page = visit().review(session.name)
    page.evaluate("() => { Storage.prototype.setItem = () => { throw new DOMException('', 'QuotaExceededError') } }")
    page.keyboard.press("1")
    expect(page.locator("#problem")).to_contain_text("This browser has no room for an answer")
    expect(page.locator("#progress-words")).to_have_text("0 of 10")
    at(page, 1)
    page.reload()
    at(page, 1)
    press(page, "2")
    all_saved(page)
    assert [label.value for label in labels(session)] == ["medium"]
    keep(Outcome("browser whose storage is full", "an answer is given"))


def test_answers_wait_while_the_session_of_the_open_page_is_away(session, visit, tmp_path):
    """A server of other sessions is at the address for a while: nobody has to load the page again."""
    page = visit().review(session.name)
    away = session.path.rename(tmp_path / session.name)
    press(page, "12")
    expect(page.locator("#saved")).to_contain_text("2 answers kept in this browser, not yet saved")
    away.rename(session.path)
    all_saved(page)
    assert [label.value for label in labels(session)] == ["low", "medium"]


def test_two_reviewers_at_once_do_not_write_over_one_another(session, visit):
    one, other = (visit().review(session.name, coder) for coder in ("C1", "C2"))
    for key, opposite in zip(TEN, reversed(TEN), strict=True):
        one.keyboard.press(key)
        other.keyboard.press(opposite)
    all_saved(one)
    all_saved(other)
    said = standing(session)
    assert [value for coder, value in said if coder == "C1"] == values(TEN)
    assert [value for coder, value in said if coder == "C2"] == values(TEN[::-1])
    assert len(labels(session)) == 20
    keep(Outcome("two reviewers at once", "two browsers, ten clips, key by key"))


def test_two_tabs_of_one_coder_lose_nothing_and_agree_about_what_stands(session, server, visit):
    """Both answer the same ten clips, at once; what came last stands, and both tabs show it."""
    visitor = visit()
    one = visitor.review(session.name)
    other = visitor.context.new_page()
    other.goto(f"{server.address}/session/{session.name}")
    at(other, 1)
    for key, opposite in zip(TEN, reversed(TEN), strict=True):
        one.keyboard.press(key)
        other.keyboard.press(opposite)
    for page in (one, other):
        until(page, "document.getElementById('progress-words').textContent === '10 of 10'")
        all_saved(page)
    said = [str(label.value) for label in labels(session)]
    assert sorted(said) == sorted(values(TEN) * 2)
    stands = [value for _, value in standing(session)]
    for page in (one, other):
        seconds_until(lambda page=page: shown(page) == stands)
    keep(Outcome("two tabs of one coder on the same labels", "ten clips, key by key"))


def test_a_full_disk_is_told_and_the_label_is_stored_when_there_is_room(recorded, disk: SmallDisk, browser, tmp_path):
    session = copied(recorded, disk.path / "sessions")
    server = KilledServer(session.path.parent, tmp_path / "models")
    visitor = Visitor(browser, server)
    page = visitor.review(session.name)
    page.keyboard.press("1")
    all_saved(page)
    disk.fill()
    page.keyboard.press("2")
    told_s = seconds(page, "1 answer kept in this browser, not yet saved")
    expect(page.locator("#saved")).to_contain_text("the disk is full: make room, and try again")
    disk.empty()
    saved_s = seconds(page, "All answers saved")
    assert [label.value for label in labels(session)] == ["low", "medium"]
    keep(Outcome("disk full while labelling", "not a byte free", told_s, saved_s))
    visitor.close()
    server.kill()


@contextmanager
def browser_with_profile(browser: Browser, folder: Path) -> Iterator[BrowserContext]:
    """A browser as people have it: what it keeps is on disk, and there again the next time."""
    options = {"executable_path": CHROMIUM, "args": ["--no-sandbox"]}
    context = browser.browser_type.launch_persistent_context(folder, **options)
    context.set_default_timeout(PAGE_TIMEOUT_MS)
    try:
        yield context
    finally:
        with suppress(Error):  # it may have been killed meanwhile
            context.close()


def kill(profile: Path) -> None:
    """SIGKILL for the browser with this profile, and for nobody else's."""
    for process in psutil.process_iter(["cmdline"]):
        if f"--user-data-dir={profile}" in (process.info["cmdline"] or ()):
            os.kill(process.pid, signal.SIGKILL)


def opened(context: BrowserContext, server: KilledServer, session: SessionFolder) -> Page:
    """The page of the session, as its coder."""
    page = context.pages[0]
    page.goto(server.link)
    page.evaluate("localStorage.setItem('mmal.coder', 'C1')")
    page.goto(f"{server.address}/session/{session.name}")
    until(page, "document.getElementById('clip-title').textContent.includes(' of ')")
    return page


def answered_while_the_server_was_away(context: BrowserContext, server: KilledServer, session: SessionFolder) -> None:
    page = opened(context, server, session)
    press(page, "1")
    all_saved(page)
    server.kill()
    press(page, "2")
    expect(page.locator("#saved")).to_contain_text("1 answer kept in this browser, not yet saved")


@pytest.mark.parametrize("how", ["closed", "killed"])
def test_a_browser_that_goes_away_leaves_each_label_stored_once_or_visibly_not(session, server, browser, tmp_path, how):
    """Closed, it keeps what was not sent. Killed, it may have lost what it wrote in its last seconds: then the clip is
    open again."""
    profile = tmp_path / "profile"
    with browser_with_profile(browser, profile) as context:
        answered_while_the_server_was_away(context, server, session)
        if how == "killed":
            kill(profile)
    assert [label.value for label in labels(session)] == ["low"]
    server.start()
    with browser_with_profile(browser, profile) as context:
        page = opened(context, server, session)
        all_saved(page)
        stored = [str(label.value) for label in labels(session)]
        assert stored in (["low", "medium"], ["low"] if how == "killed" else None)
        assert shown(page)[: len(stored) + 1] == [*stored, "open"]
    lost = f"{2 - len(stored)} answers that were on no disk yet, shown as open"
    keep(
        Outcome(
            "reviewer's browser goes away", f"{how} while the server was away", lost="" if len(stored) == 2 else lost
        )
    )
