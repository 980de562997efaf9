"""The folder of a session: who may read it, how it is found, what is refused."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mmal_ros.session.card import CARD_NAME, SessionError
from mmal_ros.session.folder import SessionFolder, new_session, open_session_folder, sessions_in

START_NS = 1_795_168_800 * 10**9  # 2026-11-20 10:00 UTC


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def with_card(folder: SessionFolder) -> SessionFolder:
    (folder.path / CARD_NAME).write_text("{}")
    return folder


def test_a_session_is_named_by_day_code_and_number(tmp_path):
    names = [new_session(tmp_path, code, START_NS).name for code in ("P017", "P017", "P018")]
    assert names == ["2026-11-20_P017_01", "2026-11-20_P017_02", "2026-11-20_P018_01"]


def test_nobody_else_may_look_in(tmp_path):
    before = os.umask(0)
    try:
        folder = new_session(tmp_path / "home" / "sessions", "P017", START_NS)
    finally:
        os.umask(before)
    parts = (folder.path.parent, folder.path, folder.bag, folder.clips)
    assert {mode(part) for part in parts} == {0o700}


def test_two_recorders_at_once_get_two_folders(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(lambda _: new_session(tmp_path, "P017", START_NS), range(24)))
    assert len({folder.path for folder in folders}) == 24


@pytest.mark.parametrize("code", ["", "Anna Smith", "../P017", "P017/x", "anna@home.org", "-P017", "x" * 33, "P_17"])
def test_what_might_be_a_name_or_a_way_out_is_no_code(tmp_path, code):
    with pytest.raises(SessionError, match="is no code of a participant"):
        new_session(tmp_path, code, START_NS)
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_can_be_written_it_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SessionError, match="no session can be written to"):
        new_session(tmp_path / "file", "P017", START_NS)


def test_a_session_is_found_by_name_and_by_path(tmp_path, monkeypatch):
    folder = with_card(new_session(tmp_path / "sessions", "P017", START_NS))
    assert open_session_folder(folder.name, tmp_path / "sessions").path == folder.path
    assert open_session_folder(str(folder.path), tmp_path / "elsewhere").path == folder.path
    monkeypatch.chdir(tmp_path)
    assert open_session_folder(f"sessions/{folder.name}", tmp_path / "elsewhere").name == folder.name


def test_an_unknown_session_names_those_that_there_are(tmp_path):
    with pytest.raises(SessionError, match=f"there are no sessions in {tmp_path} yet"):
        open_session_folder("2026-11-20_P017_01", tmp_path)
    with_card(new_session(tmp_path, "P017", START_NS))
    with pytest.raises(SessionError, match=r"'P017' is no session; there are 2026-11-20_P017_01"):
        open_session_folder("P017", tmp_path)
    with pytest.raises(SessionError, match=r"'~nobody-there/x' is no session; there are 2026-11-20_P017_01"):
        open_session_folder("~nobody-there/x", tmp_path)


def test_only_folders_with_a_card_are_sessions(tmp_path):
    new_session(tmp_path, "P017", START_NS)
    with_card(new_session(tmp_path, "P017", START_NS))
    (tmp_path / "notes.txt").write_text("")
    assert [folder.name for folder in sessions_in(tmp_path)] == ["2026-11-20_P017_02"]
    assert list(sessions_in(tmp_path / "nowhere")) == []
