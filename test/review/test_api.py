"""What the pages ask for and what they send, against the server as it runs and sessions on disk."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mmal_ros.datatypes import STEP_NS
from mmal_ros.review import personalisation
from mmal_ros.review.opinions import opinion_of
from mmal_ros.session.bag import LOCK_FILE, claimed
from mmal_ros.session.folder import SessionFolder
from mmal_ros.session.records import LabelValue
from mmal_ros.session.store import SessionStore
from rigs.review import Served, served
from rigs.sessions import level_at, make_session

WAIT_S = 20.0


@pytest.fixture
def server(session, tmp_path) -> Iterator[Served]:
    with served(session.path.parent, tmp_path / "models") as running:
        yield running


def get(server: Served, path: str, **query: Any) -> Any:
    answer = server.reviewer.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def of(server: Served, session: SessionFolder, part: str = "", **query: Any) -> Any:
    return get(server, f"/api/sessions/{session.name}{part}", **query)


def flags(session: SessionFolder) -> list[int]:
    with SessionStore(session.labels) as store:
        return [flag.window_id for flag in store.flags()]


# --- what there is -------------------------------------------------------------------------------------------------


def test_the_list_tells_how_far_each_session_is(server, session):
    (entry,) = get(server, "/api/sessions")
    assert entry["name"] == session.name
    assert entry["start"].startswith("2026-11-20T10:00:00")
    told = {name: entry[name] for name in ("participant", "duration_s", "privacy", "flags", "labelled", "recording")}
    assert told == {
        "participant": "P017",
        "duration_s": 60.0,
        "privacy": "clips",
        "flags": 10,
        "labelled": 0,
        "recording": False,
    }
    server.label(session.name, flags(session)[0], "high", "request-1", "C2")
    server.label(session.name, flags(session)[0], "low", "request-2", "C1")
    (entry,) = get(server, "/api/sessions")
    assert (entry["labelled"], entry["annotators"]) == (1, ["C1", "C2"])


def test_a_broken_session_is_in_the_list_with_its_problem(server, session):
    broken = session.path.parent / "2026-11-21_P017_01"
    broken.mkdir()
    (broken / "session.json").write_text("{")
    entries = {entry["name"]: entry for entry in get(server, "/api/sessions")}
    assert "json" in entries[broken.name]["problem"].lower()
    assert entries[session.name]["flags"] == 10


def test_a_session_that_is_being_recorded_says_so(server, session):
    (session.bag / LOCK_FILE).touch()
    with claimed(session.bag):
        assert of(server, session)["recording"]
    assert not of(server, session)["recording"]


def test_no_folder_of_sessions_is_an_empty_list(tmp_path):
    with served(tmp_path / "none", tmp_path) as running:
        assert get(running, "/api/sessions") == []


def test_only_the_sessions_that_were_named_are_shown(session, tmp_path):
    other = make_session(session.path.parent, participant="P018", minutes=0.2, flags=1, clips=False)
    with served(session.path.parent, tmp_path, only=[other.name]) as running:
        assert [entry["name"] for entry in get(running, "/api/sessions")] == [other.name]
        assert running.reviewer.get(f"/api/sessions/{session.name}").status_code == 404


def test_flags_come_in_the_order_of_time_with_ids_that_javascript_keeps(server, session):
    told = of(server, session, annotator="C1")
    assert [flag["window_id"] for flag in told["flags"]] == [str(window) for window in flags(session)]
    assert [flag["time_s"] for flag in told["flags"]] == sorted(flag["time_s"] for flag in told["flags"])
    assert int(told["start_ns"]) == session.card().start_ns
    assert told["progress"] == {"done": 0, "of": 10}


def test_a_clip_comes_whole_and_in_parts(server, session):
    clip = of(server, session)["flags"][3]["clip"]
    whole = server.reviewer.get(clip)
    assert whole.headers["content-type"] == "video/mp4"
    assert whole.headers["cache-control"] == "no-store"
    assert whole.content == session.clip_of(flags(session)[3]).read_bytes()
    part = server.reviewer.get(clip, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, whole.content[10:20])
    assert server.reviewer.get(clip, headers={"Range": "bytes=99999999-"}).status_code == 416


def test_a_clip_that_is_gone_is_a_sentence(server, session):
    shutil.rmtree(session.clips)
    answer = server.reviewer.get(of(server, session)["flags"][0]["clip"])
    assert (answer.status_code, answer.json()["detail"]) == (404, "There is no clip of this window.")


def test_curves_are_around_the_window(server, session):
    curves = of(server, session, f"/windows/{flags(session)[4]}")["curves"]
    assert {"eda", "pulse", "temperature", "movement"} <= set(curves)
    assert curves["eda"]["unit"] == "uS"
    assert min(curves["eda"]["times_s"]) == pytest.approx(-4, abs=0.3)
    assert max(curves["eda"]["times_s"]) == pytest.approx(3, abs=0.3)


# --- blind ---------------------------------------------------------------------------------------------------------


def test_a_coder_learns_what_the_model_thinks_only_after_having_labelled(server, session):
    window = flags(session)[4]
    place = f"/windows/{window}"
    assert of(server, session, place, annotator="C1")["opinion"] is None
    server.label(session.name, window, "low", "request-of-C2", annotator="C2")
    assert of(server, session, place, annotator="C1")["opinion"] is None
    server.label(session.name, window, "low", "request-of-C1", annotator="C1")
    opinion = of(server, session, place, annotator="C1")["opinion"]
    assert opinion["level"] in ("low", "medium", "high")
    assert sum(opinion["probabilities"]) == pytest.approx(1, abs=1e-5)
    assert set(opinion["by_modality"]) == {"face", "body", "physiology", "audio"}


def test_the_opinion_is_that_of_the_flagged_window_and_names_who_was_not_heard(server, session):
    """The made-up face is gone for ten seconds in the middle of the session."""
    opinions = {w: of(server, session, f"/windows/{w}", blind=False)["opinion"] for w in flags(session)}
    silent = [window for window, opinion in opinions.items() if opinion["by_modality"]["face"] is None]
    start_ns = session.card().start_ns
    assert silent
    assert all(30 < window / 10 - start_ns / 1e9 < 41 for window in silent)
    assert len({tuple(opinion["probabilities"]) for opinion in opinions.values()}) == len(opinions)


def test_the_opinion_is_found_by_its_window_among_those_that_came_at_the_time(session):
    with SessionStore(session.labels) as store:
        flag = store.flags()[4]
    late = replace(flag, stamp_ns=flag.stamp_ns - 5 * STEP_NS)
    assert opinion_of(session, late) == opinion_of(session, flag)
    assert opinion_of(session, replace(flag, window_id=17)) is None


def test_nothing_but_the_opinion_tells_the_opinion(server, session):
    told = json.dumps(of(server, session, annotator="C1"))
    assert "probabilities" not in told
    assert "level" not in told


def test_the_timeline_hides_estimates_until_all_is_labelled(server, session):
    def engagement(**query: Any) -> list[float]:
        return of(server, session, "/timeline", points=50, **query)["engagement"]

    assert engagement(annotator="C1") == []
    assert engagement() == []
    assert len(engagement(annotator="C1", blind=False)) == 50
    hidden = of(server, session, "/timeline", annotator="C1")
    assert (hidden["level"], hidden["by_modality"], hidden["blind"]) == ([], {}, True)
    assert [gap["modality"] for gap in hidden["gaps"]] == ["face"]
    for number, window in enumerate(flags(session)):
        assert engagement(annotator="C1") == []
        server.label(session.name, window, "medium", f"request-{number}")
    assert len(engagement(annotator="C1")) == 50
    assert engagement(annotator="C2") == []


# --- labels --------------------------------------------------------------------------------------------------------


def test_a_label_is_on_disk_when_the_answer_comes(server, session):
    window = flags(session)[0]
    answer = server.label(session.name, str(window), "cannot_tell", "request-1", note="turned away")
    assert answer.status_code == 201
    assert answer.json() == {"window_id": str(window), "label": "cannot_tell", "note": "turned away"}
    with SessionStore(session.labels) as store:
        (label,) = store.labels()
    assert (label.window_id, label.value, label.annotator) == (window, LabelValue.CANNOT_TELL, "C1")
    assert label.note == "turned away"
    assert label.stamp_ns == window * 100_000_000
    assert abs(label.labelled_ns / 1e9 - time.time()) < 3600


def test_the_same_request_again_is_one_label(server, session):
    window = flags(session)[0]
    codes = [server.label(session.name, window, "low", "request-1").status_code for _ in range(3)]
    assert codes == [201, 200, 200]
    with SessionStore(session.labels) as store:
        assert len(store.labels()) == 1


def test_the_same_request_from_many_at_once_is_one_label(server, session):
    window = flags(session)[0]
    with ThreadPoolExecutor(8) as pool:
        sent = [pool.submit(server.label, session.name, window, "low", "request-1") for _ in range(16)]
        codes = [one.result().status_code for one in sent]
    assert sorted(codes) == [200] * 15 + [201]
    with SessionStore(session.labels) as store:
        assert len(store.labels()) == 1


def test_undo_brings_back_what_was_said_before(server, session):
    window = flags(session)[0]
    server.label(session.name, window, "low", "request-1", note="first")
    server.label(session.name, window, "high", "request-2", note="second")
    body = {"window_id": window, "annotator": "C1", "request": "request-3"}
    path = f"/api/sessions/{session.name}/undo"
    for status in (201, 200):  # the second is the same request again
        answer = server.reviewer.post(path, json=body)
        assert (answer.status_code, answer.json()["label"], answer.json()["note"]) == (status, "low", "first")
    assert server.reviewer.post(path, json=body | {"request": "request-4"}).json()["label"] is None
    assert of(server, session, annotator="C1")["progress"]["done"] == 0
    with SessionStore(session.labels) as store:
        assert len(store.labels()) == 4  # nothing is ever taken away


def test_coders_do_not_see_one_anothers_labels_only_how_many(server, session):
    window = flags(session)[0]
    server.label(session.name, window, "low", "request-1", annotator="C1")
    server.label(session.name, window, "high", "request-2", annotator="C2")
    first = of(server, session, annotator="C3")["flags"][0]
    assert (first["label"], first["others"]) == (None, 2)
    second = of(server, session, annotator="C2")["flags"][0]
    assert (second["label"], second["others"]) == ("high", 1)
    assert of(server, session, annotator="C1")["progress"] == {"done": 1, "of": 10}


def test_a_label_of_a_flag_that_was_withdrawn_meanwhile_is_not_lost(server, session):
    window = flags(session)[0]
    with SessionStore(session.labels) as store:
        store.withdraw(window)
    assert server.label(session.name, window, "low", "request-1").status_code == 201
    assert len(of(server, session)["flags"]) == 9


@pytest.mark.parametrize(
    ("changed", "status", "part"),
    [
        ({"value": "very high"}, 422, "value: Input should be 'low'"),
        ({"value": None}, 422, "value"),
        ({"annotator": "Anna Smith"}, 422, "'Anna Smith' is no code of a coder"),
        ({"annotator": ""}, 422, "no code"),
        ({"window_id": "x"}, 422, "window_id"),
        ({"window_id": -1}, 422, "window_id"),
        ({"window_id": 2**63}, 422, "window_id"),
        ({"window_id": 17}, 404, "not flagged"),
        ({"request": "short"}, 422, "request"),
        ({"note": "x" * 2001}, 422, "note"),
        ({"extra": 1}, 422, "extra"),
    ],
)
def test_a_wrong_label_is_refused_in_one_sentence(server, session, changed, status, part):
    body = {"window_id": flags(session)[0], "value": "low", "annotator": "C1", "request": "request-1", **changed}
    answer = server.reviewer.post(f"/api/sessions/{session.name}/labels", json=body)
    assert answer.status_code == status
    assert part in answer.json()["detail"]
    with SessionStore(session.labels) as store:
        assert store.labels() == []


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"window_id": NaN}'])
def test_what_is_no_json_is_refused_in_one_sentence(server, session, content):
    headers = {"Content-Type": "application/json"}
    answer = server.reviewer.post(f"/api/sessions/{session.name}/labels", content=content, headers=headers)
    assert answer.status_code == 422
    assert isinstance(answer.json()["detail"], str)


def test_a_store_that_cannot_be_written_asks_to_try_again(server, session):
    """A page keeps a label after a 503, and sends it again."""
    window = flags(session)[0]
    session.labels.write_bytes(b"this is no database" * 100)
    for rest in ("-wal", "-shm"):
        session.labels.with_name(session.labels.name + rest).unlink(missing_ok=True)
    answer = server.label(session.name, window, "low", "request-1")
    assert answer.status_code == 503
    assert "labels.sqlite" in answer.json()["detail"]


def test_agreement_of_two_coders(server, session):
    assert of(server, session, "/agreement") == {"annotators": [], "windows": 0, "kappa": [], "alpha": None}
    for number, window in enumerate(flags(session)):
        server.label(session.name, window, ("low", "high")[number % 2], f"request-1{number}", "C1")
        server.label(session.name, window, ("low", "high")[number % 2 or number == 0], f"request-2{number}", "C2")
    told = of(server, session, "/agreement")
    assert (told["annotators"], told["windows"]) == (["C1", "C2"], 10)
    assert told["kappa"] == [{"a": "C1", "b": "C2", "value": pytest.approx(0.8), "both": 10}]
    assert 0.7 < told["alpha"] < 0.9


# --- personalise ---------------------------------------------------------------------------------------------------


def pretend(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that says what `mmal personalise --json` would: the real one learns for half a minute."""
    path = folder / "pretended.py"
    path.write_text("import json, sys, time\nsay = lambda **e: print(json.dumps(e), flush=True)\n" + script)
    monkeypatch.setattr(personalisation, "COMMAND", (sys.executable, str(path)))


def until(server: Served, state: str, code: str = "P017", patience_s: float = WAIT_S) -> Any:
    deadline = time.monotonic() + patience_s
    while (told := get(server, f"/api/participants/{code}/personalise"))["state"] != state:
        assert time.monotonic() < deadline, told
        time.sleep(0.05)
    return told


GOOD = """
say(event="progress", done=1, of=3, what="learning")
say(event="result", version="2", accepted=True, reason="better", before=0.4, after=0.6, args=sys.argv[1:])
"""


def test_personalise_tells_its_result(session, tmp_path, monkeypatch):
    pretend(tmp_path, GOOD, monkeypatch)
    with served(session.path.parent, tmp_path / "models") as running:
        before = get(running, "/api/participants/P017/personalise")
        assert (before["state"], before["current"], before["versions"], before["result"]) == ("idle", None, [], None)
        assert running.reviewer.post("/api/participants/P017/personalise").status_code == 202
        told = until(running, "done")
    assert (told["progress"], told["message"]) == ({"done": 1, "of": 3}, "better")
    assert (told["result"]["version"], told["result"]["accepted"]) == ("2", True)
    folders = ["--sessions-dir", str(session.path.parent), "--models", str(tmp_path / "models")]
    assert told["result"]["args"] == ["personalise", "P017", *folders, "--no-switch", "--json"]


@pytest.mark.parametrize(
    ("script", "part"),
    [
        ('print("noise\\nmmal: too few labels", file=sys.stderr); sys.exit(2)', "too few labels"),
        ("sys.exit(1)", "ended without a result"),
        ('print("no json", flush=True)', "ended without a result"),
        ("import os; os.kill(os.getpid(), 9)", "ended without a result"),
    ],
)
def test_personalise_that_fails_tells_why(session, tmp_path, monkeypatch, script, part):
    pretend(tmp_path, script, monkeypatch)
    with served(session.path.parent, tmp_path / "models") as running:
        running.reviewer.post("/api/participants/P017/personalise")
        told = until(running, "failed")
        assert part in told["message"]
        assert told["result"] is None
        running.reviewer.post("/api/participants/P017/personalise")  # and may be tried again
        until(running, "failed")


ENDLESS = 'say(event="progress", done=0, of=1, what=str(__import__("os").getpid()))\ntime.sleep(600)'


def test_one_is_personalised_at_a_time_and_the_end_of_the_server_is_its_end(session, tmp_path, monkeypatch):
    pretend(tmp_path, ENDLESS, monkeypatch)
    with served(session.path.parent, tmp_path / "models") as running:
        running.reviewer.post("/api/participants/P017/personalise")
        deadline = time.monotonic() + WAIT_S
        while not (pid := until(running, "running")["message"]).isdigit():
            assert time.monotonic() < deadline
        assert running.reviewer.post("/api/participants/P017/personalise").status_code == 202  # it goes on
        refused = running.reviewer.post("/api/participants/P018/personalise")
        assert (refused.status_code, "P017 is being personalised" in refused.json()["detail"]) == (409, True)
        os.kill(int(pid), 0)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), signal.SIGCONT)


def test_personalise_that_hangs_is_ended(session, tmp_path, monkeypatch):
    monkeypatch.setattr(personalisation, "LONGEST_S", 0.5)
    pretend(tmp_path, ENDLESS, monkeypatch)
    with served(session.path.parent, tmp_path / "models") as running:
        running.reviewer.post("/api/participants/P017/personalise")
        assert "longer" in until(running, "failed")["message"]


def test_a_version_that_is_not_there_is_a_sentence(server):
    for path, body in (("use", {"version": "9"}), ("rollback", {"version": "9"})):
        answer = server.reviewer.post(f"/api/participants/P017/models/{path}", json=body)
        assert (answer.status_code, "no model" in answer.json()["detail"]) == (409, True)


def test_without_a_graph_the_live_page_says_how_to_start_one(server):
    answer = server.reviewer.get("/api/live")
    assert (answer.status_code, "mmal review --live" in answer.json()["detail"]) == (404, True)
    assert server.reviewer.get("/live").status_code == 200


@pytest.mark.slow
def test_from_labels_to_a_model_in_use_and_back(tmp_path):
    """The real thing: sessions of a simulated child, its own labels, learning, accepting, going back."""
    sessions, models = tmp_path / "sessions", tmp_path / "models"
    session = make_session(sessions, minutes=3, flags=20, clips=False, features="synthetic")
    with served(sessions, models) as running:
        start_s = [flag["time_s"] for flag in of(running, session)["flags"]]
        for number, (window, end_s) in enumerate(zip(flags(session), start_s, strict=True)):
            truth = level_at(0, end_s - 1).name.lower()
            assert running.label(session.name, window, truth, f"request-{number}").status_code == 201
        assert running.reviewer.post("/api/participants/P017/personalise").status_code == 202
        told = until(running, "done", patience_s=110)
        result = told["result"]
        assert result["labels"] == 20
        assert {"before", "after", "constant", "accepted", "reason"} <= set(result)
        assert result["version"] in [version["name"] for version in told["versions"]]
        assert told["current"] != result["version"]  # nobody has accepted it yet
        use = running.reviewer.post("/api/participants/P017/models/use", json={"version": result["version"]})
        assert (use.status_code, use.json()["current"]) == (200, result["version"])
        back = [
            running.reviewer.post("/api/participants/P017/models/rollback", json={"version": result["version"]})
            for _ in ("one tab", "another tab, which has not seen it")
        ]
        assert (back[0].status_code, back[0].json()["current"]) == (200, told["current"])
        assert (back[1].status_code, "switched meanwhile" in back[1].json()["detail"]) == (409, True)
