"""The live page in real Chromium, before a graph that says what each test makes it say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from rigs.browser import NETWORK, ReviewServer, Visitor
from rigs.scripted_graph import ScriptedGraph


@pytest.fixture
def graph() -> ScriptedGraph:
    return ScriptedGraph()


@pytest.fixture
def server(graph: ScriptedGraph, tmp_path: Path) -> Iterator[ReviewServer]:
    started = ReviewServer(tmp_path / "sessions", tmp_path / "models", graph)
    yield started
    started.stop()


@pytest.fixture
def page(browser: Browser, server: ReviewServer) -> Iterator[Page]:
    visitor = Visitor(browser, server)
    yield visitor.open("/live")
    visitor.close()
    assert [words for words in visitor.wrong if NETWORK not in words] == []


def test_level_shares_and_chips_follow_the_graph(page: Page, graph: ScriptedGraph) -> None:
    expect(page.locator("#level")).to_have_text("High")
    expect(page.locator("#shares")).to_contain_text("70 %")
    expect(page.locator(".chip.valid")).to_have_count(3)
    expect(page.locator(".chip.missing")).to_contain_text("Wristband")
    expect(page.locator(".chip.missing")).to_contain_text("has no vote")
    face = {"status": "stale", "probabilities": [0.8, 0.1, 0.1]}
    graph.now = {**graph.now, "level": "low", "modalities": {**graph.now["modalities"], "face": face}}
    expect(page.locator("#level")).to_have_text("Low")
    expect(page.locator(".chip.stale")).to_contain_text("Face")
    expect(page.locator(".chip.stale")).to_contain_text("Low")


def test_an_estimate_of_long_ago_is_not_shown_as_of_now(page: Page, graph: ScriptedGraph) -> None:
    expect(page.locator("#level")).to_have_text("High")
    graph.now = {**graph.now, "age_s": 7.0}
    expect(page.locator("#level")).to_have_text("Unknown")
    expect(page.locator("#connection")).to_have_text("No estimate for 7 s")
    expect(page.locator(".chip.missing")).to_have_count(4)


def test_a_graph_of_which_nothing_is_known_yet(page: Page, graph: ScriptedGraph) -> None:
    graph.now = {name: None for name in graph.now} | {"flags": [], "modalities": {}}
    expect(page.locator("#connection")).to_have_text("Connected; no estimate yet")
    expect(page.locator("#recording-words")).to_contain_text("No recorder is heard")
    expect(page.locator("#start")).to_be_hidden()


def test_a_moment_is_flagged_with_f_and_taken_back(page: Page, graph: ScriptedGraph) -> None:
    expect(page.locator("#budget")).to_contain_text("20 of 20 flags left")
    page.keyboard.press("f")
    expect(page.locator("#flag-said")).to_have_text("10:00:00 is flagged")
    expect(page.locator("#budget")).to_contain_text("19 of 20 flags left")
    page.get_by_role("button", name="Take back").click()
    expect(page.locator("#flags")).to_contain_text("Nothing yet")
    assert graph.asked == [("flag", "flagged by hand"), ("unflag", "17951688000")]


def test_a_recording_is_started_and_stopped(page: Page, graph: ScriptedGraph) -> None:
    expect(page.locator("#start")).to_be_visible()  # keys go to no field as long as there is none
    page.locator("#participant").press_sequentially("P0f7")  # an f in a field is no flag
    page.select_option("#privacy", "features_only")
    page.get_by_role("button", name="Start").click()
    expect(page.locator("#recording-words")).to_contain_text("P0f7 · 2026-11-20_P017_01")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#recording-words")).to_have_text("Not recording.")
    assert graph.asked == [("start", "P0f7", "features_only"), ("stop",)]


def test_a_recording_that_is_refused_says_why(page: Page) -> None:
    page.fill("#participant", "P000")
    page.keyboard.press("Enter")
    expect(page.locator("#recording-said")).to_have_text("less than 1 GB is free")


def test_a_lost_connection_is_said_and_found_again(page: Page, server: ReviewServer) -> None:
    expect(page.locator("#connection")).to_have_text("Connected")
    server.stop()
    expect(page.locator("#connection")).to_contain_text("Connection lost")
    server.start()
    expect(page.locator("#connection")).to_have_text("Connected")


def test_without_a_graph_the_page_says_how_to_start_one(browser: Browser, tmp_path: Path) -> None:
    server = ReviewServer(tmp_path / "sessions", tmp_path / "models")
    visitor = Visitor(browser, server)
    expect(visitor.open("/live").locator("#problem")).to_contain_text("mmal review --live")
    visitor.close()
    server.stop()
