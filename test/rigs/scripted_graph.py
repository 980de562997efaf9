"""A graph for the live page that says what a test makes it say."""

from __future__ import annotations

from typing import Any

ALL_VALID = {name: {"status": "valid", "probabilities": [0.1, 0.2, 0.7]} for name in ("face", "body", "audio")}


class ScriptedGraph:
    """A `LiveFeed` that plays a script; the real one, with ROS behind it, has its tests in test/nodes."""

    def __init__(self) -> None:
        self.now: dict[str, Any] = {
            "level": "high",
            "probabilities": [0.1, 0.2, 0.7],
            "modalities": {**ALL_VALID, "physiology": {"status": "missing", "probabilities": [1 / 3] * 3}},
            "age_s": 0.1,
            "model": "demo/2",
            "budget": 20,
            "budget_left": 20,
            "flags": [],
            "session": {"recording": False, "session": "", "participant": "", "privacy": "", "flags": 0, "problem": ""},
        }
        self.asked: list[tuple[str, ...]] = []

    def state(self) -> dict[str, Any]:
        return self.now

    def flag(self, reason: str) -> tuple[bool, str]:
        self.asked.append(("flag", reason))
        entry = {"window_id": "17951688000", "time": "2026-11-20T10:00:00+00:00", "reason": reason, "policy": "person"}
        self.now = {**self.now, "flags": [entry], "budget_left": 19}
        return True, "10:00:00 is flagged"

    def unflag(self, window_id: int) -> tuple[bool, str]:
        self.asked.append(("unflag", str(window_id)))
        self.now = {**self.now, "flags": [], "budget_left": 20}
        return True, "taken back"

    def start_session(self, participant: str, privacy: str) -> tuple[bool, str]:
        self.asked.append(("start", participant, privacy))
        if participant == "P000":
            return False, "less than 1 GB is free"
        session = {"recording": True, "session": "2026-11-20_P017_01", "participant": participant, "privacy": privacy}
        self.now = {**self.now, "session": {**session, "flags": 0, "problem": ""}}
        return True, "recording"

    def stop_session(self) -> tuple[bool, str]:
        self.asked.append(("stop",))
        self.now = {**self.now, "session": {**self.now["session"], "recording": False}}
        return True, "stopped"
