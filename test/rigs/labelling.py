"""What a coder does on the page of a session, and what is on disk afterwards."""

from __future__ import annotations

from collections.abc import Iterable

from playwright.sync_api import Page, expect

from mmal_ros.session.folder import SessionFolder
from mmal_ros.session.records import Label
from mmal_ros.session.store import SessionStore

TEN = "1231245132"
"""The keys of ten answers."""
VALUES = ("low", "medium", "high", "cannot_tell", "bad_capture")


def labels(session: SessionFolder) -> list[Label]:
    with SessionStore(session.labels) as store:
        return store.labels()


def standing(session: SessionFolder) -> list[tuple[str, str]]:
    with SessionStore(session.labels) as store:
        return [(label.annotator, str(label.value)) for label in store.standing_labels()]


def press(page: Page, keys: Iterable[str]) -> None:
    for key in keys:
        page.keyboard.press(key)


def all_saved(page: Page) -> None:
    expect(page.locator("#saved")).to_have_text("All answers saved")


def at(page: Page, number: int) -> None:
    expect(page.locator("#clip-title")).to_contain_text(f"Clip {number} of ")
