"""The pages as somebody uses them: real Chromium, real server, real sessions on disk."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from mmal_ros.session.folder import SessionFolder
from rigs.browser import ReviewServer, Visitor, until
from rigs.labelling import all_saved, at, press, standing
from rigs.sessions import make_session


def test_the_list_says_how_far_each_session_is(visitor: Visitor, session: SessionFolder) -> None:
    press(visitor.review(session.name), "123")
    all_saved(visitor.page)
    page = visitor.open("/")
    expect(page.locator("#empty")).to_be_hidden()
    expect(page.locator(".session")).to_contain_text("3 of 10 labelled")
    expect(page.locator(".session")).to_contain_text("C1")


def test_an_empty_list_says_how_to_record(visitor: Visitor) -> None:
    page = visitor.open("/")
    expect(page.locator("#empty")).to_be_visible()
    expect(page.locator("#empty")).to_contain_text("--record P017")
    expect(page.locator(".session")).to_have_count(0)


def test_a_session_that_is_not_there_is_said(visitor: Visitor, session: SessionFolder) -> None:
    page = visitor.open("/session/2020-01-01_P999_01")
    expect(page.locator("body")).to_contain_text("There is no session of that name")


def test_a_session_that_cannot_be_read_is_named_and_keeps_the_others(visitor: Visitor, session: SessionFolder) -> None:
    damaged = session.path.with_name("2026-01-01_P001_01")
    damaged.mkdir()
    (damaged / "session.json").write_text("{")
    page = visitor.open("/")
    expect(page.locator(".session")).to_have_count(1)
    expect(page.locator(".problem").last).to_contain_text("session.json")


def test_no_line_is_drawn_over_what_the_wristband_did_not_send(visitor: Visitor) -> None:
    """Two lines, with nothing between them; where the cursor stands in the gap there is no figure."""
    page = visitor.open("/")
    line, figure = page.evaluate(
        """async () => {
          const { Curves } = await import("/static/curves.js");
          const place = document.createElement("div");
          const curves = new Curves(place);
          curves.draw({ eda: { unit: "uS", times_s: [-3, -2, -1, 0, 1], values: [1, 2, null, 3, 2] } });
          curves.moveTo(-1);
          return [place.querySelector(".curve").getAttribute("d"), place.querySelector("output").textContent];
        }"""
    )
    assert (line.count("M"), line.count("L")) == (2, 2)
    assert figure == "–"


def test_a_session_without_clips_is_judged_by_its_curves(visitor: Visitor, sessions: Path) -> None:
    session = make_session(sessions, minutes=1, flags=3, clips=False)
    page = visitor.review(session.name)
    expect(page.locator("#stage-words")).to_contain_text("without pictures and sound")
    expect(page.locator(".curve-row svg").first).to_be_visible()
    expect(page.locator("#controls")).to_be_hidden()
    press(page, "123")
    all_saved(page)
    assert len(standing(session)) == 3


def test_a_session_without_flags_has_nothing_to_label(visitor: Visitor, sessions: Path) -> None:
    session = make_session(sessions, minutes=1, flags=0)
    visitor.page.evaluate("localStorage.setItem('mmal.coder', 'C1')")
    page = visitor.open(f"/session/{session.name}")
    expect(page.locator("#stage-words")).to_contain_text("Nothing was flagged")
    press(page, "1u")
    expect(page.locator(".answer").first).to_be_disabled()


def test_a_clip_that_was_deleted_is_said_and_the_next_one_plays(visitor: Visitor, session: SessionFolder) -> None:
    next(iter(sorted(session.clips.iterdir()))).write_bytes(b"no video")
    page = visitor.review(session.name)
    expect(page.locator("#stage-words")).to_contain_text("cannot be played")
    page.keyboard.press("ArrowRight")
    until(page, "document.querySelector('video.seen').currentTime > 0.1")


def test_the_help_lists_every_key(visitor: Visitor, session: SessionFolder) -> None:
    page = visitor.review(session.name)
    page.keyboard.press("?")
    for key in ("1", "2", "3", "4", "5", "←", "→", "U", "N", "Space", "M", "?"):
        expect(page.locator("#help-keys").get_by_text(key, exact=True)).to_be_visible()
    page.keyboard.press("1")
    page.keyboard.press("Escape")
    at(page, 1)
    expect(page.locator("#help")).to_be_hidden()


PERSONALISED = {
    "state": "done",
    "progress": None,
    "message": "",
    "current": None,
    "versions": [{"name": "1", "identity": "P017/1", "parent": "demo/2"}],
    "result": {"accepted": True, "reason": "better by 0.13", "version": "1", "labels": 10}
    | {"before": 0.48, "after": 0.61, "constant": 0.31},
}


def personalise_with(page: Page, states: list[dict[str, Any]]) -> list[Any]:
    """Training itself takes seconds and has its own tests: here the server's answers are given, one after the other."""
    posted: list[Any] = []

    def answer(route: Route) -> None:
        if route.request.method == "POST":
            posted.append((route.request.url.split("/P017/")[1], json.loads(route.request.post_data or "null")))
            route.fulfill(status=202, json={"message": ""})
        else:
            route.fulfill(json=states.pop(0) if len(states) > 1 else states[0])

    page.route("**/api/participants/**", answer)
    return posted


def test_personalising_shows_progress_and_what_it_brought_and_is_accepted(
    visitor: Visitor, session: SessionFolder
) -> None:
    running = {"state": "running", "progress": {"done": 1, "of": 4}, "message": "learning", "result": None}
    idle = {**PERSONALISED, "state": "idle", "result": None}
    states = [idle, {**idle, **running}, PERSONALISED, {**PERSONALISED, "current": "1"}]
    posted = personalise_with(visitor.page, states)
    panel = visitor.review(session.name).locator("#personalise")
    panel.get_by_role("button", name="Personalise now").click()
    expect(panel).to_contain_text("Better. better by 0.13")
    expect(panel.get_by_role("img")).to_have_attribute(
        "aria-label", "Macro-F1. Before: 0.48, After: 0.61, constant 0.31"
    )
    panel.get_by_role("button", name="Use version 1").click()
    expect(panel).to_contain_text("In use: model P017/1")
    panel.get_by_role("button", name="Go back").click()
    visitor.page.wait_for_load_state("networkidle")
    assert posted == [("personalise", {}), ("models/use", {"version": "1"}), ("models/rollback", {"version": "1"})]


def test_personalising_is_looked_at_again_after_a_question_that_got_no_answer(
    visitor: Visitor, session: SessionFolder
) -> None:
    """The computer slept, or was busy for a moment; what comes of it is shown all the same."""
    running = {"state": "running", "progress": {"done": 1, "of": 4}, "message": "learning", "result": None}
    personalise_with(visitor.page, [{**PERSONALISED, **running}, PERSONALISED])
    answered: list[Route] = []

    def once(route: Route) -> None:
        answered.append(route)
        route.abort() if len(answered) == 2 else route.fallback()

    visitor.page.route("**/api/participants/**", once)
    panel = visitor.review(session.name).locator("#personalise")
    expect(panel.locator("#personalise-said")).not_to_be_empty()
    expect(panel).to_contain_text("Better. better by 0.13", timeout=30_000)
    expect(panel.locator("#personalise-said")).to_be_empty()


def test_a_model_that_is_not_better_is_not_offered(visitor: Visitor, session: SessionFolder) -> None:
    refused = {**PERSONALISED["result"], "accepted": False, "reason": "0.44 after, 0.48 before"}  # type: ignore[dict-item]
    personalise_with(visitor.page, [{**PERSONALISED, "result": refused}])
    panel = visitor.review(session.name).locator("#personalise")
    expect(panel).to_contain_text("Not better: the old model stays. 0.44 after, 0.48 before")
    expect(panel.get_by_role("button", name="Use version")).to_have_count(0)


SIZES = [(640, 400, 2.0), (512, 384, 2.0), (1024, 768, 1.0), (320, 640, 2.0)]
"""A 1280 × 800 and a 1024 × 768 screen at 200 % zoom, a small screen, a telephone."""


@pytest.mark.parametrize(("width", "height", "zoom"), SIZES)
def test_nothing_is_cut_off_on_small_screens_and_at_200_percent(
    browser: Browser, server: ReviewServer, session: SessionFolder, width: int, height: int, zoom: float
) -> None:
    visitor = Visitor(browser, server, viewport={"width": width, "height": height}, device_scale_factor=zoom)
    fits: Callable[[], bool] = lambda: visitor.page.evaluate("document.documentElement.scrollWidth <= innerWidth")  # noqa: E731
    page = visitor.review(session.name)
    press(page, "1")
    all_saved(page)
    assert fits()
    page.keyboard.press("?")
    assert fits()
    visitor.open("/").wait_for_selector(".session")
    assert fits()
    visitor.open("/live")
    assert fits()
    visitor.close()


def test_everything_that_can_be_pressed_has_a_name_and_a_place_in_the_order_of_tab(
    visitor: Visitor, session: SessionFolder
) -> None:
    page = visitor.review(session.name)
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()"))
    assert {"coder", "help-button", "blind", "play", "mute", "scrub", "next", "undo", "note"} <= reached
    nameless = """[...document.querySelectorAll('button, a, input, textarea, select')].filter(it =>
        !(it.textContent.trim() || it.ariaLabel || it.labels?.length)).map(it => it.outerHTML)"""
    assert page.evaluate(nameless) == []


READ_ON = {"ink": "ground", "quiet": "ground", "warn": "warn-ground", "good": "surface", "on-accent": "accent"}
"""Tokens of base.css: what is read on which ground; WCAG 2.2 wants a contrast of 4.5."""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_written_stands_out_from_its_ground(browser: Browser, server: ReviewServer, scheme: str) -> None:
    visitor = Visitor(browser, server, color_scheme=scheme)
    for text, ground in READ_ON.items():
        assert contrast(*(token(visitor.page, name) for name in (text, ground))) >= 4.5, f"{text} on {ground}"
    visitor.close()


def token(page: Page, name: str) -> list[int]:
    value = page.evaluate("name => getComputedStyle(document.documentElement).getPropertyValue('--' + name)", name)
    return [int(value.strip()[place : place + 2], 16) for place in (1, 3, 5)]


def contrast(one: list[int], other: list[int]) -> float:
    """As WCAG 2.2 has it, of sRGB colours."""
    dark, light = sorted(luminance(colour) for colour in (one, other))
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: list[int]) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (part / 255 for part in colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
