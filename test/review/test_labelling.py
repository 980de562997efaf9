"""Labelling as a coder does it: real Chromium, real server, real sessions on disk."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from playwright.sync_api import APIResponse, Route, expect

from mmal_ros.session.folder import SessionFolder
from rigs.browser import ReviewServer, Visitor, until
from rigs.labelling import TEN, VALUES, all_saved, at, labels, press, standing


def test_ten_clips_are_labelled_by_keyboard_alone(visitor: Visitor, session: SessionFolder) -> None:
    page = visitor.open("/")
    expect(page.locator(".session")).to_have_count(1)
    while page.evaluate("document.activeElement.closest('h2') === null"):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("#coder-dialog[open]")
    page.keyboard.type("C7")
    page.keyboard.press("Enter")
    at(page, 1)
    press(page, TEN)
    expect(page.locator("#finished")).to_be_visible()
    expect(page.locator("#progress-words")).to_have_text("10 of 10")
    all_saved(page)
    assert standing(session) == [("C7", VALUES[int(key) - 1]) for key in TEN]
    assert len(labels(session)) == 10


def test_a_clip_plays_in_a_loop_and_its_flagged_second_is_framed(visitor: Visitor, session: SessionFolder) -> None:
    page = visitor.review(session.name)
    until(page, "document.querySelector('video.seen').currentTime > 0.1")
    assert page.evaluate("document.querySelector('video.seen').loop && document.querySelector('video.seen').muted")
    page.keyboard.press(" ")
    until(page, "document.querySelector('video.seen').paused")
    for seconds, framed in ((-2, False), (-0.5, True), (2, False)):
        page.locator("#scrub").evaluate("(it, s) => { it.value = s; it.dispatchEvent(new Event('input')) }", seconds)
        stage = page.locator("#stage.flagged")
        expect(stage).to_have_count(int(framed))
    expect(page.locator(".curve-row svg").first).to_be_visible()


def test_sound_is_off_until_somebody_wants_it_and_stays_on_then(visitor: Visitor, session: SessionFolder) -> None:
    page = visitor.review(session.name)
    page.keyboard.press("m")
    until(page, "!document.querySelector('video.seen').muted")
    page.keyboard.press("ArrowRight")
    at(page, 2)
    until(page, "!document.querySelector('video.seen').muted")


def test_an_answer_is_taken_back_with_u_and_asked_again(visitor: Visitor, session: SessionFolder) -> None:
    page = visitor.review(session.name)
    press(page, "12")
    at(page, 3)
    page.keyboard.press("u")
    at(page, 2)
    page.keyboard.press("Control+z")
    at(page, 1)
    expect(page.locator(".answer[aria-pressed=true]")).to_have_count(0)
    all_saved(page)
    assert standing(session) == []
    assert len(labels(session)) == 4


def test_an_answer_from_before_is_taken_back_too_and_what_it_replaced_stands_again(
    visitor: Visitor, session: SessionFolder
) -> None:
    page = visitor.review(session.name)
    press(page, "1")
    page.keyboard.press("ArrowLeft")
    press(page, "3")
    all_saved(page)
    page.reload()
    at(page, 2)
    page.keyboard.press("ArrowLeft")
    pressed = page.locator(".answer[aria-pressed=true]")
    expect(pressed).to_contain_text("High")
    page.keyboard.press("u")
    expect(pressed).to_contain_text("Low")
    assert standing(session) == [("C1", "low")]


def test_a_note_goes_with_its_answer_and_its_letters_are_no_answers(visitor: Visitor, session: SessionFolder) -> None:
    page = visitor.review(session.name)
    page.keyboard.press("n")
    page.keyboard.type("looks at 1 of 2 robots, unsure")
    page.keyboard.press("Enter")
    at(page, 1)
    page.keyboard.press("2")
    at(page, 2)
    all_saved(page)
    (label,) = labels(session)
    assert (label.value, label.note) == ("medium", "looks at 1 of 2 robots, unsure")


def test_a_note_to_an_answer_that_was_given_is_added(visitor: Visitor, session: SessionFolder) -> None:
    page = visitor.review(session.name)
    press(page, "2")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("n")
    page.keyboard.type("after all")
    page.keyboard.press("Enter")
    all_saved(page)
    at(page, 1)
    assert [(label.value, label.note) for label in labels(session)] == [("medium", ""), ("medium", "after all")]


def test_a_second_coder_starts_afresh_and_agreement_is_shown(visitor: Visitor, session: SessionFolder) -> None:
    page = visitor.review(session.name)
    press(page, TEN)
    all_saved(page)
    page.click("#coder")
    page.fill("#coder-code", "C2")
    page.keyboard.press("Enter")
    expect(page.locator("#coder-name")).to_have_text("C2")
    expect(page.locator("#progress-words")).to_have_text("0 of 10")
    press(page, TEN)
    all_saved(page)
    expect(page.locator("#agreement")).to_contain_text("C1 and C2")
    expect(page.locator("#agreement td").last).to_have_text("1.00")
    assert sorted(standing(session)) == sorted((who, VALUES[int(key) - 1]) for who in ("C1", "C2") for key in TEN)


@pytest.mark.parametrize("name", ["Anna Müller", "", "C" * 33])
def test_a_name_is_no_code_of_a_coder(visitor: Visitor, session: SessionFolder, name: str) -> None:
    page = visitor.open(f"/session/{session.name}")
    page.fill("#coder-code", name)
    page.locator("#coder-code").evaluate("field => field.removeAttribute('maxlength')")
    page.fill("#coder-code", name)
    page.keyboard.press("Enter")
    expect(page.locator("#coder-problem")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#coder-dialog")).to_be_visible()


def test_the_models_opinion_stays_hidden_until_the_coder_has_answered(visitor: Visitor, session: SessionFolder) -> None:
    heard: list[Any] = []
    visitor.page.on("response", lambda answer: "/windows/" in answer.url and heard.append(answer.json()))
    page = visitor.review(session.name)
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    page.wait_for_load_state("networkidle")
    assert heard
    assert all(window["opinion"] is None for window in heard)
    expect(page.locator("#opinion")).to_be_hidden()
    expect(page.locator("#timeline .line")).to_have_count(0)
    press(page, "1")
    all_saved(page)
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#opinion")).to_contain_text("The model said")


def test_who_wants_to_see_the_models_opinion_at_once_says_so(visitor: Visitor, session: SessionFolder) -> None:
    page = visitor.review(session.name)
    page.locator("#blind").focus()
    page.keyboard.press(" ")
    expect(page.locator("#opinion")).to_contain_text("The model said")
    expect(page.locator("#timeline .line.fused")).to_have_count(1)
    expect(page.locator("#blind-words")).to_contain_text("may lead you")


def test_who_changes_her_mind_while_the_opinion_is_asked_for_does_not_see_it(
    visitor: Visitor, session: SessionFolder
) -> None:
    """What was asked for first comes last: the answers of a busy computer need not come in order."""
    page = visitor.review(session.name)
    late: list[tuple[Route, APIResponse]] = []
    page.route(re.compile(r"/api/sessions/[^/]+\?.*blind=false"), lambda route: late.append((route, route.fetch())))
    page.locator("#blind").uncheck()
    page.wait_for_timeout(0)  # lets the handler run
    with page.expect_response(re.compile("/timeline")):
        page.locator("#blind").check()
    with page.expect_response(re.compile("blind=false")):
        ((route, answer),) = late
        route.fulfill(response=answer)
    page.wait_for_load_state("networkidle")
    expect(page.locator("#blind-words")).to_contain_text("is hidden until you have answered")
    expect(page.locator("#opinion")).to_be_hidden()
    expect(page.locator("#timeline .line")).to_have_count(0)
    press(page, "1")
    all_saved(page)
    expect(page.locator("#progress-words")).to_have_text("1 of 10")


def test_estimates_appear_on_the_timeline_when_everything_is_labelled(visitor: Visitor, session: SessionFolder) -> None:
    page = visitor.review(session.name)
    press(page, TEN)
    expect(page.locator("#timeline .line.fused")).to_have_count(1)


def test_answers_given_while_the_server_is_down_arrive_once(
    visitor: Visitor, server: ReviewServer, session: SessionFolder
) -> None:
    page = visitor.review(session.name)
    server.stop()
    press(page, "123")
    expect(page.locator("#saved")).to_contain_text("3 answers kept in this browser, not yet saved")
    expect(page.locator("#progress-words")).to_have_text("3 of 10")
    server.start()
    all_saved(page)
    assert [label.value for label in labels(session)] == ["low", "medium", "high"]


def test_an_answer_whose_receipt_was_lost_is_sent_again_and_counts_once(
    visitor: Visitor, session: SessionFolder
) -> None:
    lost: list[str] = []

    def lose(route: Route) -> None:
        route.fetch()  # the server has it on disk …
        lost.append(str(json.loads(route.request.post_data or "")["request"]))
        route.abort()  # … and the page does not hear of it

    visitor.page.route("**/labels", lose, times=1)  # one that is open may miss it
    page = visitor.review(session.name)
    page.keyboard.press("1")
    expect(page.locator("#saved")).not_to_have_text("All answers saved")  # not before the key was heard
    all_saved(page)
    assert len(lost) == 1
    assert [label.value for label in labels(session)] == ["low"]


def test_an_answer_survives_the_closing_of_the_page(
    visitor: Visitor, server: ReviewServer, session: SessionFolder
) -> None:
    page = visitor.review(session.name)
    server.stop()
    press(page, "1")
    expect(page.locator("#saved")).to_contain_text("1 answer kept")
    page.close()
    server.start()
    visitor.page = visitor.context.new_page()
    all_saved(visitor.open(f"/session/{session.name}"))
    assert [label.value for label in labels(session)] == ["low"]


def test_an_answer_that_is_refused_is_said_and_asked_again(visitor: Visitor, session: SessionFolder) -> None:
    refusal, asked = {"status": 422, "json": {"detail": "this window is not in the session"}}, []
    visitor.page.route("**/labels", lambda route: route.fulfill(**refusal), times=1)
    page = visitor.review(session.name)
    page.on("request", lambda request: request.url.endswith("/labels") and asked.append(request.post_data))
    page.keyboard.press("1")
    expect(page.locator("#problem")).to_contain_text("this window is not in the session")
    expect(page.locator("#progress-words")).to_have_text("0 of 10")
    assert len(asked) == 1, asked
    assert labels(session) == []
