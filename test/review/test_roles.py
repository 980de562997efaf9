"""Two links: whoever leads may do everything, a coder may only label, and the page offers her nothing else."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser, expect

from mmal_ros.review.app import create_app
from mmal_ros.review.roles import Role, may
from mmal_ros.review.security import Access
from mmal_ros.session.folder import SessionFolder
from rigs.browser import CODER_TOKEN, NETWORK, ReviewServer, Visitor, until
from rigs.review import TOKEN, served

OF_A_CODER = {
    ("GET", "/"),
    ("GET", "/session/{name}"),
    ("GET", "/api/access"),
    ("GET", "/api/sessions"),
    ("GET", "/api/sessions/{name}"),
    ("GET", "/api/sessions/{name}/agreement"),
    ("GET", "/api/sessions/{name}/clips/{window_id}"),
    ("GET", "/api/sessions/{name}/timeline"),
    ("GET", "/api/sessions/{name}/windows/{window_id}"),
    ("POST", "/api/sessions/{name}/labels"),
    ("POST", "/api/sessions/{name}/undo"),
}


def test_every_route_is_the_leads_unless_it_is_in_this_list(tmp_path: Path) -> None:
    """Whoever adds a route has to decide whether coders need it."""
    app = create_app(tmp_path, "token")
    found = {(method.upper(), path) for path, methods in app.openapi()["paths"].items() for method in methods}
    found |= {("GET", page) for page in ("/", "/live", "/session/{name}", "/session/{name}/report")}
    assert found >= OF_A_CODER
    assert {(method, path) for method, path in found if may(Role.CODER, method, path)} == OF_A_CODER
    assert all(may(Role.LEAD, method, path) for method, path in found)


REFUSED = [
    *(("POST", path) for path in ("/api/live/flag", "/api/live/unflag", "/api/live/session/start")),
    *(("POST", f"/api/participants/P017/{act}") for act in ("personalise", "models/use", "models/rollback")),
    *(("GET", path) for path in ("/live", "/api/live", "/api/participants/P017/personalise")),
    *(("GET", f"/session/{{n}}{end}") for end in ("/report", "%2Freport", "/%72eport")),
    *(("GET", path) for path in ("/%2e/live", "//live", "/live/", "/static%2F", "/docs")),
    *(("POST", path) for path in ("/api/sessions/../live/flag", "/api/sessions/{n}/labels/../../../live/flag")),
    *((method, "/api/sessions/{n}/labels") for method in ("PUT", "DELETE", "PATCH", "TRACE", "OPTIONS")),
]


def test_the_rest_is_refused_with_the_reason(tmp_path: Path, session: SessionFolder) -> None:
    """Also around corners: the server is sent these very bytes."""
    head = f"HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {Access(TOKEN).cookie}={CODER_TOKEN}\r\nConnection: close\r\n"
    with served(session.path.parent, tmp_path / "models") as running:
        for method, path in REFUSED:
            place = f"{method} {path.format(n=session.name)}"
            answer = running.raw(f"{place} {head}Content-Length: 2\r\n\r\n{{}}".encode())
            assert answer.startswith(b"HTTP/1.1 403"), place
            assert b"This link is for labelling only" in answer, place


def test_a_coder_labels_and_takes_back(tmp_path: Path, session: SessionFolder) -> None:
    window = next(session.clips.iterdir()).stem
    with served(session.path.parent, tmp_path / "models") as running:
        assert running.coder.get("/api/access").json() == {"role": "coder"}
        assert running.reviewer.get("/api/access").json() == {"role": "lead"}
        said = {"window_id": window, "annotator": "C1"}
        place = f"/api/sessions/{session.name}"
        assert running.coder.post(f"{place}/labels", json={**said, "value": "low", "request": "first one"}).is_success
        assert running.coder.post(f"{place}/undo", json={**said, "request": "second one"}).is_success
        assert running.coder.get(f"{place}/clips/{window}").is_success


def test_a_coder_labels_blind_whatever_she_asks_for(tmp_path: Path, session: SessionFolder) -> None:
    window = next(session.clips.iterdir()).stem
    places = {
        f"/api/sessions/{session.name}/windows/{window}": "opinion",
        f"/api/sessions/{session.name}/timeline": "level",
    }
    with served(session.path.parent, tmp_path / "models") as running:
        for place, secret in places.items():
            asked = {"annotator": "C1", "blind": False}
            assert running.reviewer.get(place, params=asked).json()[secret]
            assert not running.coder.get(place, params=asked).json()[secret]
        assert running.coder.get(f"/api/sessions/{session.name}", params={"blind": False}).json()["blind"] is True


def test_in_a_browser_the_link_that_was_opened_last_counts(tmp_path: Path, session: SessionFolder) -> None:
    with served(session.path.parent, tmp_path / "models") as running:
        for token, role in ((CODER_TOKEN, "coder"), (TOKEN, "lead"), (CODER_TOKEN, "coder")):
            running.stranger.get(f"/?token={token}")
            assert running.stranger.get("/api/access").json() == {"role": role}
            assert len(running.stranger.cookies) == 1


def test_without_a_second_link_an_empty_token_is_nobodys() -> None:
    assert Access("token").role_of("") is None
    assert Access("token", "").known(f"{Access('token').cookie}=") is None
    assert CODER_TOKEN not in repr(Access("token", CODER_TOKEN))


def test_a_coders_page_offers_labelling_and_nothing_else(
    browser: Browser, server: ReviewServer, session: SessionFolder
) -> None:
    coder = Visitor(browser, server, server.coder_link)
    try:
        page = coder.page
        expect(page.get_by_role("link", name="P017")).to_be_visible()
        until(page, "document.body.classList.contains('only-labels')")
        expect(page.get_by_role("link", name="Live view")).to_be_hidden()
        expect(page.get_by_role("link", name="Report")).to_be_hidden()
        coder.review(session.name)
        expect(page.locator("#personalise")).to_be_hidden()
        expect(page.locator("#blind")).to_be_hidden()
        expect(page.locator("#blind-words")).to_contain_text("hidden until you have answered")
        page.keyboard.press("1")
        expect(page.locator("#saved")).to_have_text("All answers saved")
        page.goto(f"{server.address}/live")
        expect(page.locator("body")).to_contain_text("This link is for labelling only")
        assert [words for words in coder.wrong if NETWORK not in words] == []
    finally:
        coder.close()


def test_the_leads_page_offers_everything(visitor: Visitor, session: SessionFolder) -> None:
    visitor.open("/")
    expect(visitor.page.get_by_role("link", name="Live view")).to_be_visible()
    expect(visitor.page.get_by_role("link", name="Report")).to_be_visible()
    visitor.review(session.name)
    expect(visitor.page.locator("#personalise")).to_contain_text("Personalise now")
