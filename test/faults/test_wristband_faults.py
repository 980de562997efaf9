"""The wristband in the field, as whoever watches the graph sees it: a virtual band on a virtual radio.

The band's clock is half a percent fast all the time, and it numbers its values.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, Modality
from mmal_ros.sensors.e4_packets import RATE_HZ, Layout, Stream
from mmal_ros.session.folder import SessionFolder
from mmal_ros.session.reading import RawSignal, read_signals
from mmal_ros.session.timeline import read_curves, read_timeline
from rigs.ble_e4_encoders import numbers_of
from rigs.ble_process import RigProcess
from rigs.bluetooth import WRISTBAND_NAME, VirtualBluetooth
from rigs.fault_log import Outcome, keep, seconds_until
from rigs.watched_graph import Fault, WatchedGraph, recorded, watched_graph

RATE_ERROR = 0.005
ALIGNED_NS = 50_000_000
MOST = 0.9
UNTOLD_NS = 300_000_000
"""A first packet that a busy machine delivers late cannot be told from one in time before the next ones come."""
MOMENT_S = 0.8
"""The radio fails for so long: too short for anybody to notice, but values are lost."""
AWAY_S = 3.5
AFTERWARDS_S = 3.0
PACKET_NS = 200_000_000


class Wearer:
    """Wears the band, and does to it what children do."""

    def __init__(self, radio: VirtualBluetooth, graph: WatchedGraph) -> None:
        self.radio = radio
        self.graph = graph
        self.band: RigProcess | None = None
        """None: it was never switched on."""
        self.connections: list[dict] = []
        """What the band said of each connection: when it began, and with which value."""

    def switch_on(self) -> None:
        self.band = self.radio.switch_on_wristband(rate_error=RATE_ERROR)

    def switch_off(self) -> None:
        self.radio.switch_off(self.band)

    def note_connection(self) -> None:
        self.connections.append(json.loads(self.band.ask("state")))

    def endures(self, fault: Fault) -> Outcome:
        outcome = self.graph.endures(fault)
        self.note_connection()
        return outcome

    def measured_ns(self, stream: Stream, numbers: NDArray[np.int64]) -> NDArray[np.float64]:
        """When the values with these numbers were really measured."""
        firsts = np.array([connection["first"][stream.value] for connection in self.connections])
        starts = np.array([connection["start_ns"] for connection in self.connections])
        which = np.searchsorted(firsts, numbers, side="right") - 1
        counted = numbers - firsts[which]
        return starts[which] + counted / (RATE_HZ[stream] * (1 + RATE_ERROR)) * NANOSECONDS_PER_SECOND


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("wristband")


@pytest.fixture(scope="module")
def wearer(folder: Path) -> Iterator[Wearer]:
    """Everything runs; the band is off."""
    source = f"ble:{WRISTBAND_NAME}"
    with (
        VirtualBluetooth() as radio,
        watched_graph(folder, "e4_node", "wristband", (Modality.PHYSIOLOGY,), record=True, source=source) as graph,
    ):
        yield Wearer(radio, graph)


LINK_LOST = f"link to {WRISTBAND_NAME} is lost"


def out_of_range(wearer: Wearer) -> Fault:
    radio = wearer.radio
    return Fault("wristband out of range", "radio muted", radio.go_out_of_range, radio.come_back, LINK_LOST)


def silent(wearer: Wearer) -> Fault:
    stall, resume = (lambda: wearer.band.ask("stall")), (lambda: wearer.band.ask("resume"))
    says = "is connected but has sent nothing"
    return Fault("wristband connected but silent", "peripheral stops notifying", stall, resume, says)


def lost(wearer: Wearer) -> Fault:
    drop = wearer.radio.drop
    return Fault("wristband's link lost", "radio drops the link", drop, lambda: None, LINK_LOST, missing=False)


def switched_off(wearer: Wearer) -> Fault:
    off, on = wearer.switch_off, wearer.switch_on
    return Fault("wristband switched off", "peripheral killed", off, on, LINK_LOST)


def test_a_band_that_is_off_at_the_start_is_waited_for(wearer: Wearer) -> None:
    """The graph is up and estimates; the band is used as soon as it is switched on."""
    seconds_until(lambda: wearer.graph.is_troubled)
    seconds_until(lambda: f"no Bluetooth device {WRISTBAND_NAME} is in range" in wearer.graph.message)
    seconds_until(lambda: wearer.graph.is_missing)
    wearer.switch_on()
    recovered_s = seconds_until(lambda: wearer.graph.is_well, 60)
    keep(Outcome("wristband not there at the start", "no peripheral", None, recovered_s))


def test_a_session_in_which_the_band_comes_and_goes(wearer: Wearer, folder: Path) -> None:
    """Told and survived while it happens; afterwards whoever reads the bag sees what is missing, and when."""
    if wearer.band is None:  # this test alone
        wearer.switch_on()
    wearer.graph.wait_until_steady()
    wearer.note_connection()
    with recorded(wearer.graph) as session:
        wearer.endures(lost(wearer))
        away = [span_of(wearer, fault(wearer)) for fault in (out_of_range, silent)]
        away.append(out_of_reach_for_a_moment(wearer))
    began_ns, ended_ns = away[0][0] - AFTERWARDS_S * NANOSECONDS_PER_SECOND, time.time_ns()
    signals = read_signals(session, int(began_ns), ended_ns)
    assert_no_value_twice_and_all_in_time(wearer, signals)
    for begin_ns, end_ns in away:
        assert_shows_gap(signals["acc"], begin_ns, end_ns)
    assert_timeline_shows(session, away[:2])
    assert_curve_is_broken(session, *away[2])


def span_of(wearer: Wearer, fault: Fault) -> tuple[int, int]:
    """From when to when the band could not be heard."""
    times_ns: list[int] = []

    def noted(act: Callable[[], object]) -> Callable[[], object]:
        return lambda: (times_ns.append(time.time_ns()), act())

    wearer.endures(replace(fault, provoke=noted(fault.provoke), mend=noted(fault.mend), lasts_s=AWAY_S))
    return times_ns[0], times_ns[1]


def out_of_reach_for_a_moment(wearer: Wearer) -> tuple[int, int]:
    """The link stays, what is measured meanwhile is lost, and nothing tells that the count falls behind."""
    wearer.graph.wait_until_steady()
    begin_ns = time.time_ns()
    wearer.radio.go_out_of_range()
    time.sleep(MOMENT_S)
    wearer.radio.come_back()
    end_ns = time.time_ns()
    time.sleep(AFTERWARDS_S)
    wearer.graph.wait_until_steady()
    return begin_ns, end_ns


def assert_no_value_twice_and_all_in_time(wearer: Wearer, signals: dict[str, RawSignal]) -> None:
    numbers = numbers_of(Stream.ACC, Layout.A, signals["acc"].values)
    assert np.all(np.diff(numbers) > 0), "a value came twice, or late"
    wrong_ns = np.abs(signals["acc"].times_ns - wearer.measured_ns(Stream.ACC, numbers))
    most_ns = np.quantile(wrong_ns, MOST)
    assert most_ns < ALIGNED_NS
    assert wrong_ns.max() < UNTOLD_NS
    within = f"{MOST:.0%} of the stamps within {most_ns / 1e6:.0f} ms, all within {wrong_ns.max() / 1e6:.0f} ms"
    keep(Outcome("wristband's clock is wrong", "0.5 % fast, while it comes and goes", lost=f"no value twice; {within}"))


def assert_shows_gap(signal: RawSignal, begin_ns: int, end_ns: int) -> None:
    """The times of the values leap over it."""
    leaps = np.flatnonzero(np.diff(signal.times_ns) > (end_ns - begin_ns) / 2)
    before, after = signal.times_ns[leaps], signal.times_ns[leaps + 1]
    assert ((before < begin_ns + PACKET_NS) & (after > end_ns - PACKET_NS)).any(), (
        f"{before - begin_ns} {after - end_ns}"
    )


def assert_timeline_shows(session: SessionFolder, away: list[tuple[int, int]]) -> None:
    timeline = read_timeline(session)
    gaps = [gap for gap in timeline.gaps if gap.modality == Modality.PHYSIOLOGY]
    for begin_ns, end_ns in away:
        middle_s = ((begin_ns + end_ns) / 2 - timeline.start_ns) / NANOSECONDS_PER_SECOND
        assert any(gap.start_s < middle_s < gap.end_s for gap in gaps), gaps


def assert_curve_is_broken(session: SessionFolder, begin_ns: int, end_ns: int) -> None:
    """No line is drawn over what is missing."""
    curve = read_curves(session, begin_ns - NANOSECONDS_PER_SECOND, begin_ns)["movement"]
    missing_s = [time_s for time_s, value in zip(curve.times_s, curve.values, strict=True) if value is None]
    assert any(0 < time_s < (end_ns - begin_ns) / NANOSECONDS_PER_SECOND for time_s in missing_s)


@pytest.mark.soak
@pytest.mark.parametrize("fault", [out_of_range, silent, lost, switched_off])
@pytest.mark.parametrize("repetition", range(3))
def test_again_and_again(wearer: Wearer, fault: Callable[[Wearer], Fault], repetition: int) -> None:
    if not hasattr(wearer, "band"):
        wearer.switch_on()
    wearer.graph.endures(fault(wearer))
