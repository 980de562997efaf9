"""The report that a therapist prints: what it says, and that it needs nothing but itself."""

from __future__ import annotations

import json
import re
import shutil
import stat
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from typer.testing import CliRunner

from mmal_ros.cli.app import app
from mmal_ros.review.model_words import how_known
from mmal_ros.review.report import report_page, write_report
from mmal_ros.review.report_plots import clock, shares_plot, timeline_plot
from mmal_ros.session.card import write_session_card
from mmal_ros.session.folder import SessionFolder
from mmal_ros.session.records import Label, LabelValue
from mmal_ros.session.store import SessionStore
from mmal_ros.session.timeline import Gap, Timeline
from rigs.review import TOKEN, served


def label(session: SessionFolder, annotator: str, values: Sequence[str], note: str = "") -> None:
    """One value for each flag, in the order of time."""
    with SessionStore(session.labels) as store:
        for flag, value in zip(store.flags(), values, strict=False):
            said = Label(flag.window_id, flag.stamp_ns, annotator, LabelValue(value), 0, note)
            store.add_label(said, f"{annotator} {flag.window_id}")


def text_of(page: str) -> str:
    """What stands on the paper."""
    words: list[str] = []
    reader = HTMLParser()
    reader.handle_data = words.append  # type: ignore[method-assign]
    reader.feed(page.partition("<body>")[2])
    return re.sub(r"\s+", " ", "".join(words))


def test_it_says_who_when_how_long_and_what_the_model_is_worth(session):
    text = text_of(report_page(session))
    assert "Session of P017" in text
    assert "20 November 2026, 10:00 UTC · 1:00 ·" in text
    assert "Trained on simulated people only" in text
    assert re.search(r"it was right in \d\d% .*always giving the commonest answer is right in \d\d%", text)
    assert "No diagnosis" in text


def test_it_lists_every_flag_with_what_each_coder_said(session):
    label(session, "C1", ["low"] * 5 + ["high"] * 5, note="looks at <script>alert(1)</script>")
    label(session, "C2", ["low"] * 4 + ["medium"])
    page = report_page(session)
    assert "<script" not in page
    text = text_of(page)
    assert text.count("C1: looks at <script>alert(1)</script>") == 10
    rows = re.findall(r"<tr><td>(\d+:\d\d)</td>.*?</tr>", page, re.S)
    assert len(rows) == 10
    assert "5 moments were given a level by two coders or more" in text
    assert "Cohen's κ of C1 and C2" in text
    assert "are not labelled yet" not in text


def test_what_counts_is_what_the_coders_agree_on(session):
    label(session, "C1", ["low", "high"])
    label(session, "C2", ["low", "low"])
    cells = re.findall(
        r"<td>low</td><td>low</td><td>(.*?)</td>|<td>high</td><td>low</td><td>(.*?)</td>", report_page(session)
    )
    assert cells == [("low", ""), ("", "–")]


def test_who_still_labels_is_warned_of_what_the_model_thinks(session):
    label(session, "C1", ["low"] * 7)
    assert "3 of 10 flagged moments are not labelled yet" in text_of(report_page(session))


def test_a_session_that_cannot_be_read_still_tells_its_labels(session):
    shutil.rmtree(session.path / "bag")
    shutil.rmtree(session.path / "derived", ignore_errors=True)
    label(session, "C1", ["bad_capture"])
    text = text_of(report_page(session))
    assert "What was estimated cannot be shown" in text
    assert "bad capture" in text
    assert "Share of time" not in text


def test_a_session_without_flags_end_or_model(session):
    session.labels.unlink()
    card = session.card().model_copy(update={"model": "", "end": None, "end_ns": None, "devices": {}})
    write_session_card(session.path, card)
    text = text_of(report_page(session))
    assert "Nothing was flagged" in text
    assert "not ended" in text
    assert "Which model was used was not written down" in text


def test_the_page_may_load_nothing_and_chromium_shows_it_as_it_is_meant(browser: Browser, session, tmp_path):
    """Under its own policy the one style sheet applies, the plots are drawn, and nothing is complained about."""
    with served(session.path.parent, tmp_path) as running:
        context = browser.new_context()
        page = context.new_page()
        wrong: list[str] = []
        asked: list[str] = []
        page.on("console", lambda message: wrong.append(message.text))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{running.address}/?token={TOKEN}", wait_until="networkidle")
        asked.clear()
        wrong.clear()
        page.goto(f"{running.address}/session/{session.name}/report")
        fused = page.locator("path.fused").bounding_box()
        colour = page.locator("rect.of-low").evaluate("bar => getComputedStyle(bar).fill")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        context.close()
    assert wrong == []
    assert asked == [f"{running.address}/session/{session.name}/report"]
    assert fused is not None
    assert fused["width"] > 400
    assert colour == "rgb(233, 147, 90)"


def test_it_fits_the_paper(browser: Browser, session, tmp_path):
    """A4, upright, in two pages at most."""
    label(session, "C1", ["low"] * 10)
    write_report(session, tmp_path / "report.html")
    page = browser.new_page()
    page.goto((tmp_path / "report.html").as_uri())
    paper = page.pdf(prefer_css_page_size=True)
    page.close()
    assert paper.count(b"/Type /Page\n") in (1, 2)
    assert b"/MediaBox [0 0 594.95996 841.91998]" in paper or b"/MediaBox [0 0 595" in paper


def test_the_command_writes_a_file_that_only_its_owner_reads(session, tmp_path):
    path = tmp_path / "P017.html"
    command = ["review", session.name, "--sessions", str(session.path.parent), "--report", str(path)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert "Session of P017" in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--report", "out.html"], "name it"),
        (["nothing", "--report", "out.html"], "'nothing' is no session"),
        (["{name}", "--report", "/not/there/out.html"], "the folder /not/there is not there"),
        (["{name}", "--host", "0.0.0.0"], "--tls-cert"),
    ],
)
def test_a_wrong_command_is_one_sentence(session, arguments, part):
    filled = [argument.format(name=session.name) for argument in arguments]
    result = CliRunner().invoke(app, ["review", *filled, "--sessions", str(session.path.parent)])
    assert result.exit_code == 2
    assert part in result.stderr
    assert "Traceback" not in result.stderr


# --- the drawings --------------------------------------------------------------------------------------------------


def test_the_line_stops_where_nothing_is_known_and_gaps_are_hatched():
    timeline = Timeline(
        start_ns=0,
        end_ns=100 * 10**9,
        times_s=[10.0, 30.0, 50.0, 70.0],
        level=[0, 0, None, 2],
        engagement=[0.0, 0.5, None, 1.0],
        by_modality={"face": [0.0, None, None, 1.0]},
        gaps=[Gap("face", 40.0, 60.0)],
    )
    drawn = str(timeline_plot(timeline, [(50.0, "high"), (60.0, "")]))
    path = re.search(r'<path d="([^"]*)" class="line fused">', drawn)
    assert path is not None
    assert [part[0] for part in re.findall(r"[ML][\d. ]+", path[1])] == ["M", "L", "M"]
    heights = [float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", path[1])]
    assert heights[0] > heights[1] > heights[2]  # low is below, high above
    hatched = re.search(r'<rect x="([\d.]+)" y="[\d.]+" width="([\d.]+)" height="16" fill="url', drawn)
    assert hatched is not None
    assert float(hatched[2]) == pytest.approx(0.2 * (720 - 74 - 12), abs=0.2)
    assert drawn.count('class="marker') == 2


def test_shares_are_as_long_as_they_are_large():
    drawn = str(shares_plot({"low": 0.5, "medium": 0.25, "high": 0.0}))
    assert re.findall(r'width="([\d.]+)" height="26" class="of-', drawn) == ["354.0", "177.0", "0.0"]


def test_clock():
    assert [clock(seconds) for seconds in (0, 59.6, 3599, 3600, 14400)] == [
        "0:00",
        "1:00",
        "59:59",
        "1:00:00",
        "4:00:00",
    ]


# --- the model -----------------------------------------------------------------------------------------------------


def test_a_model_that_is_gone_is_said_to_be_unknown():
    assert "not on this computer" in how_known("P017/4").known
    assert how_known("").identity == ""


def test_a_childs_own_model_is_told_beside_the_one_before_and_a_constant(tmp_path):
    demo = Path(__file__).resolve().parents[2] / "models" / "demo" / "2" / "model.json"
    card = json.loads(demo.read_text()) | {"name": "P017", "version": "3", "training": {"labels": 40}}
    card["metrics"] = {"measure": "macro-F1", "labels": 25, "before": 0.41, "after": 0.62, "constant": 0.2}
    (tmp_path / "3").mkdir()
    (tmp_path / "3" / "model.json").write_text(json.dumps(card))
    known = how_known("P017/3", str(tmp_path / "3")).known
    assert "from 40 labels" in known
    assert "macro-F1 was 0.62; the model before it had 0.41, always giving the commonest answer has 0.20" in known
