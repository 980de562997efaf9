"""What goes into the log of what /diagnostics says: every trouble once."""

from __future__ import annotations

from itertools import pairwise

from mmal_ros.nodes.diagnostics import CALM_S, Health, Report, Said

WELL = Report("wristband", Health.OK, "streaming", {})
SILENT = Report("wristband", Health.ERROR, "connected but silent", {})
LOST = Report("wristband", Health.ERROR, "the link is lost", {})


def logged(*reports: Report, every_s: float = 1.0) -> list[str]:
    """Of reports that come one after another, the messages that go into the log."""
    said = Said(reports[0])
    return [report.message for n, report in enumerate(reports) if said.is_news(report, n * every_s)]


def test_to_be_well_from_the_start_is_no_news() -> None:
    assert logged(WELL, WELL, WELL) == []


def test_a_trouble_that_stays_is_said_once_and_so_is_its_end() -> None:
    assert logged(WELL, LOST, LOST, LOST, *[WELL] * 9) == [LOST.message, WELL.message]


def test_a_device_that_goes_to_and_fro_between_two_troubles_has_said_both() -> None:
    assert logged(SILENT, LOST, *[SILENT, LOST] * 20) == [SILENT.message, LOST.message]


def test_a_modality_that_is_stale_every_other_second_does_not_fill_the_log() -> None:
    assert logged(*[SILENT, WELL] * 20) == [SILENT.message]


def test_a_trouble_that_comes_back_later_is_said_again() -> None:
    calm = [WELL] * (int(CALM_S) + 2)
    assert logged(SILENT, *calm, SILENT, *calm) == [SILENT.message, WELL.message] * 2


def test_what_is_well_in_another_way_is_said() -> None:
    course = [Report("session", Health.OK, words, {}) for words in ("nothing", "recording", "recording", "nothing")]
    assert logged(*course) == [later.message for former, later in pairwise(course) if former != later]
