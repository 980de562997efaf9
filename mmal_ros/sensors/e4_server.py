"""A wristband E4 through the official E4 streaming server: ASCII lines over TCP."""

from __future__ import annotations

import socket
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, Sample
from mmal_ros.sensors.device_clock import DeviceClock
from mmal_ros.sensors.e4_lines import (
    LONGEST_LINE,
    SUBSCRIPTIONS,
    LineError,
    LinkChange,
    Measurement,
    Reply,
    parse_devices,
    parse_line,
)
from mmal_ros.sensors.source import Clock, LiveSource, SourceState, back_off, monotonic_s

CONNECT_TIMEOUT_S = 1.0
READ_TIMEOUT_S = 0.25
"""How long a read blocks: within so long the source notices that it shall stop, or that nothing comes."""
REPLY_TIMEOUT_S = 2.0
SILENT_S = 1.5
"""Without data for so long the wristband counts as silent: a fault must be reported within 2 s."""
GIVE_UP_S = 10.0
"""After so much silence the connection is made anew: the server's machine may be gone without a word."""
BACKLOG = 1024
"""Samples that wait for a slow reader: 10 s of all streams, should every value come alone."""

EVENTS = frozenset({"battery", "tag"})
"""They may come although nothing is measured."""


class E4StreamingServer(LiveSource):
    """Samples of one wristband that is connected to an E4 streaming server.

    Yields `acc`, `bvp`, `eda`, `temperature`, `ibi`, `battery` and `tag`; values that arrive together come in one
    sample per stream. The server's stamps count values since the first packet; a `DeviceClock` per stream maps them
    to `clock`. Lines that the protocol does not know are left out, and counted in the status.
    """

    def __init__(self, host: str, port: int, device: str, clock: Clock) -> None:
        """`device`: the number of the wristband as the server lists it, for example 9ff167."""
        super().__init__(BACKLOG)
        self.name = f"E4 {device} at {host}:{port}"
        self._host = host
        self._port = port
        self._device = device
        self._clock = clock
        self._clocks: defaultdict[str, DeviceClock] = defaultdict(DeviceClock)
        self._was_connected = False
        self._measured_s = monotonic_s()

    def _run(self) -> None:
        waits = back_off()
        while not self._stop.is_set():
            received = self.status.received
            try:
                self._connect_and_stream()
            except (OSError, LineError, _ServerError) as error:
                self._report_loss(error)
            if self.status.received > received:
                waits = back_off()
            self._stop.wait(next(waits))

    def _report_loss(self, error: Exception) -> None:
        if self._stop.is_set():
            return
        state = SourceState.LOST if self.status.received else SourceState.STARTING
        self._update(state=state, message=f"{self.name}: {error}; trying again")

    def _connect_and_stream(self) -> None:
        with _connected(self._host, self._port) as connection:
            server = _Lines(connection)
            self._trouble = ""
            self._subscribe(server)
            self._clocks.clear()
            self._update(state=SourceState.STARTING, message="")
            if self._was_connected:
                self._update(count="reconnects")
            self._was_connected = True
            self._stream(server)

    def _subscribe(self, server: _Lines) -> None:
        devices = parse_devices(self._ask(server, "device_list"))
        if self._device not in devices and not self._stop.is_set():
            known = ", ".join(devices) if devices else "none; is one switched on and near?"
            raise _ServerError(f"the server does not have wristband {self._device}; it has {known}")
        self._ask(server, f"device_connect {self._device}")
        for stream in SUBSCRIPTIONS:
            self._ask(server, f"device_subscribe {stream} ON")

    def _ask(self, server: _Lines, command: str) -> str:
        """The server's answer; measurements that come in between are not lost. Empty when the source is closed."""
        server.send(command)
        deadline_s = monotonic_s() + REPLY_TIMEOUT_S
        while not self._stop.is_set():
            for reply in self._read(server):
                if reply.command != command.split()[0]:
                    continue
                if reply.refusal:
                    raise _ServerError(f"the server refuses {command!r}: {reply.refusal}")
                return reply.text
            if monotonic_s() > deadline_s:
                raise _ServerError(f"no answer to {command!r}; is it an E4 streaming server?{self._but}")
        return ""

    def _stream(self, server: _Lines) -> None:
        """Read until the connection ends. Data decide whether all is well, not the connection."""
        self._measured_s = monotonic_s()
        while not self._stop.is_set():
            self._read(server)
            silent_s = monotonic_s() - self._measured_s
            if silent_s > GIVE_UP_S:
                raise _ServerError(f"no data for {GIVE_UP_S:.0f} s{self._but}")
            if silent_s > SILENT_S and self.status.state not in {SourceState.LOST, SourceState.SILENT}:
                hint = "connected, but no data; is the wristband streaming, and near its server?"
                self._update(state=SourceState.SILENT, message=f"{self.name}: {hint}{self._but}")

    def _read(self, server: _Lines) -> list[Reply]:
        """Pass on what has arrived; the replies are for whoever asked."""
        lines = server.read()
        arrival_ns = self._clock()
        replies, measurements = [], []
        for line in lines:
            match self._parsed(line):
                case Measurement() as measurement:
                    measurements.append(measurement)
                case Reply() as reply:
                    replies.append(reply)
                case LinkChange() as change:
                    self._note(change)
        for sample in _samples(measurements, self._clocks, arrival_ns):
            self._pass_on(sample)
        return replies

    def _pass_on(self, sample: Sample) -> None:
        if sample.source in EVENTS:
            self._emit_event(sample)
        else:
            self._measured_s = monotonic_s()
            self._emit(sample)

    @property
    def _but(self) -> str:
        """What came instead of what should have."""
        return f" ({self._trouble})" if self._trouble else ""

    def _parsed(self, line: str) -> Measurement | Reply | LinkChange | None:
        try:
            return parse_line(line)
        except LineError as error:
            self._reject(error)
            return None

    def _note(self, change: LinkChange) -> None:
        if change.device != self._device:
            return
        if change.connected:
            self._clocks.clear()  # its packets are counted from the first again
        else:
            self._update(state=SourceState.LOST, message=f"{self.name}: {change.text}; waiting for it")


class _ServerError(Exception):
    """The server is there and of no use now; the message says why."""


class _Lines:
    """Lines over a socket with a time-out."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._rest = b""

    def send(self, line: str) -> None:
        self._connection.sendall(f"{line}\r\n".encode())

    def read(self) -> list[str]:
        """The lines that are complete now; waits a little for the first."""
        try:
            received = self._connection.recv(65536)
        except TimeoutError:
            return []
        if not received:
            raise _ServerError("the server closed the connection")
        *lines, self._rest = (self._rest + received).split(b"\n")
        if len(self._rest) > LONGEST_LINE:
            raise _ServerError("endless lines; is it an E4 streaming server?")
        return [line.decode(errors="replace") for line in lines]


def _connected(host: str, port: int) -> socket.socket:
    try:
        connection = socket.create_connection((host, port), CONNECT_TIMEOUT_S)
    except OSError as error:
        reason = error.strerror or error
        raise _ServerError(f"no server can be reached ({reason}); is it started, and the port open?") from error
    connection.settimeout(READ_TIMEOUT_S)
    return connection


def _samples(
    measurements: Sequence[Measurement], clocks: defaultdict[str, DeviceClock], arrival_ns: int
) -> list[Sample]:
    """Samples of what arrived together, by the time of their last value."""
    by_source: defaultdict[str, list[Measurement]] = defaultdict(list)
    for measurement in measurements:
        by_source[measurement.stream.source].append(measurement)
    samples = [
        _sample(run, clocks[source], arrival_ns) for source, series in by_source.items() for run in _runs(series)
    ]
    return sorted(samples, key=lambda sample: sample.end_ns)


def _runs(series: Sequence[Measurement]) -> Iterator[list[Measurement]]:
    """Cut a stream where a value is missing; events stand alone."""
    rate_hz = series[0].stream.rate_hz
    longest_ns = 1.5 * NANOSECONDS_PER_SECOND / rate_hz if rate_hz else -1.0
    run = [series[0]]
    for measurement in series[1:]:
        if not 0 < measurement.device_ns - run[-1].device_ns <= longest_ns:
            yield run
            run = []
        run.append(measurement)
    yield run


def _sample(run: Sequence[Measurement], device_clock: DeviceClock, arrival_ns: int) -> Sample:
    """The newest value tells the time: it is the one that was sent at once."""
    stream = run[0].stream
    end_ns = device_clock.to_host(run[-1].device_ns, arrival_ns)
    duration_ns = round((len(run) - 1) / stream.rate_hz * NANOSECONDS_PER_SECOND) if len(run) > 1 else 0
    values = np.array([measurement.values for measurement in run], np.float32)
    return Sample(stream.source, end_ns - duration_ns, values if stream.columns > 1 else values[:, 0], stream.rate_hz)
