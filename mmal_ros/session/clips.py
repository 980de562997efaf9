"""Clips around flagged windows, cut from the last seconds that are kept in memory: no video of a session is on disk."""

from __future__ import annotations

import logging
import os
import queue
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Any, Generic, TypeVar

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, FloatArray
from mmal_ros.files import replacing
from mmal_ros.session.bag import sync_folder
from mmal_ros.session.clip_content import HOLD_NS, ClipContent
from mmal_ros.session.folder import SessionFolder
from mmal_ros.session.records import CLIP_MARGIN_NS, WINDOW_NS

KEPT_BYTES = 64 << 20
"""Of pictures, and as much of sound: 12 s of a camera with 30 JPEGs of 100 kB a second are half of it."""
SETTLE_NS = 500_000_000
"""A stream that is this late is not waited for."""
WAITING_CLIPS = 16
"""Cut and not yet encoded, each with its pictures in memory; encoding one takes about half a second."""
LONGEST_CHUNK_NS = NANOSECONDS_PER_SECOND
"""Sound that began this long before a clip may reach into it."""
JUMP_NS = NANOSECONDS_PER_SECOND
"""Stamps do not go back so far, nor leap, unless the clock was set, or nothing came for so long."""
NICENESS = 10
"""Estimates come first."""
OnClip = Callable[[int, Path | None], None]
Item = TypeVar("Item")
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Task:
    """A clip that was cut."""

    window_id: int
    cut: int
    content: ClipContent


class ClipRecorder:
    """Keeps the last seconds of picture and sound, and writes `clips/<window>.mp4` for the windows it is told.

    A clip shows `CLIP_MARGIN_NS` before and after its window. Its methods return at once, whatever the thread.
    """

    def __init__(
        self, folder: SessionFolder, on_clip: Callable[[int, Path | None], None], keep_s: float = 12.0
    ) -> None:
        """Begin with nothing seen or heard.

        Args:
            folder: where clips belong.
            on_clip: called with window and file when a clip would survive a power cut, or with None when it is lost;
                from any thread.
            keep_s: how far back a flag may reach: longer than a clip lasts.
        """
        self.paused = False
        """Whether clips are lost, because there is no room for them."""
        self._folder = folder
        self._on_clip = on_clip
        self._pictures: _Ring[bytes] = _Ring(round(keep_s * NANOSECONDS_PER_SECOND))
        self._sound: _Ring[FloatArray] = _Ring(round(keep_s * NANOSECONDS_PER_SECOND))
        self._rate_hz = 0.0
        self._closing = False
        self._pending: dict[int, int] = {}  # window: end of its clip
        self._cuts = count()
        self._wanted: dict[int, int] = {}  # window: its cut that is neither written nor dropped
        self._lock = threading.Lock()
        self._finishing = threading.RLock()  # a clip is there and announced, or dropped: never half of each
        self._waiting: queue.Queue[_Task | None] = queue.Queue(WAITING_CLIPS)
        self._worker = threading.Thread(target=self._encode_all, name="clips", daemon=True)
        self._worker.start()

    def picture(self, stamp_ns: int, jpeg: bytes) -> None:
        """A camera's picture."""
        with self._lock:
            self._cut_before_jump(self._pictures, stamp_ns)
            self._pictures.add(stamp_ns, jpeg, len(jpeg))
            self._cut_due()

    def sound(self, stamp_ns: int, values: FloatArray, rate_hz: float) -> None:
        """Consecutive values of a microphone, mono, from -1 to 1; `stamp_ns` is that of the first."""
        with self._lock:
            if rate_hz != self._rate_hz:
                self._sound.clear()
                self._rate_hz = rate_hz
            self._cut_before_jump(self._sound, stamp_ns)
            self._sound.add(stamp_ns, values, values.nbytes)
            self._cut_due()

    def tick(self, now_ns: int) -> None:
        """Time goes on, also when nothing is seen or heard."""
        with self._lock:
            self._cut_due(now_ns - SETTLE_NS)

    def cut(self, window_id: int, stamp_ns: int) -> None:
        """Make a clip of the window that ended at `stamp_ns`, as soon as all of it is known."""
        with self._lock:
            self._pending[window_id] = stamp_ns + CLIP_MARGIN_NS
            self._cut_due()

    def drop(self, window_id: int) -> None:
        """Make no clip of this window, or delete it; afterwards it is not announced any more."""
        with self._lock:
            self._pending.pop(window_id, None)
        with self._finishing:
            self._wanted.pop(window_id, None)
            self._folder.clip_of(window_id).unlink(missing_ok=True)

    def close(self, timeout_s: float) -> None:
        """Cut what is pending from what is known, and write it; what is not written after so long is lost.

        Afterwards nothing is kept of what was seen and heard.
        """
        with self._lock:
            self._closing = True
            self._cut_all()
        deadline_s = monotonic() + timeout_s
        with suppress(queue.Empty):
            while True:
                task = self._waiting.get_nowait()
                if task is not None and monotonic() < deadline_s:
                    self._encode(task)  # here as well: no estimates wait for a processor any more
        self._waiting.put_nowait(None)
        self._worker.join(max(0.0, deadline_s - monotonic()))
        with self._finishing:
            for window_id in list(self._wanted):
                self._lose(window_id, self._wanted[window_id], f"it was not written within {timeout_s:.0f} s")
        with self._lock:
            self._pictures.clear()
            self._sound.clear()

    def is_done(self, timeout_s: float) -> bool:
        """After `close`: whether what was being written, but took too long, is written and removed by then."""
        self._worker.join(timeout_s)
        return not self._worker.is_alive()

    def _cut_before_jump(self, ring: _Ring[Any], stamp_ns: int) -> None:
        """A computer that slept, or whose clock was set: what comes next would push out what is wanted."""
        if ring.newest_ns is None:
            return
        if stamp_ns > ring.newest_ns + JUMP_NS:
            self._cut_due(stamp_ns - SETTLE_NS)
        elif stamp_ns < ring.newest_ns - JUMP_NS:
            self._cut_all()  # else they would show what is there when the clock says their time again

    def _cut_all(self) -> None:
        self._cut_due(max(self._pending.values(), default=0))

    def _cut_due(self, passed_ns: int = 0) -> None:
        """Hand over the clips of which everything came in, or whose end has passed."""
        heard = [ring.newest_ns for ring in (self._pictures, self._sound) if ring.newest_ns is not None]
        known_ns = max(min(heard, default=0), passed_ns)
        for window_id in [window_id for window_id, end_ns in self._pending.items() if end_ns <= known_ns]:
            self._hand_over(window_id, self._pending.pop(window_id))

    def _hand_over(self, window_id: int, end_ns: int) -> None:
        start_ns = end_ns - 2 * CLIP_MARGIN_NS - WINDOW_NS
        pictures = self._pictures.between(start_ns - HOLD_NS, end_ns)
        sound = self._sound.between(start_ns - LONGEST_CHUNK_NS, end_ns)
        if not pictures and not sound:
            self._miss(window_id)
            return
        if self.paused:
            self._on_clip(window_id, None)
            return
        self._wanted[window_id] = cut = next(self._cuts)
        task = _Task(window_id, cut, ClipContent(start_ns, end_ns, pictures, sound, self._rate_hz))
        try:
            self._waiting.put_nowait(task)
        except queue.Full:
            self._lose(window_id, cut, "encoding cannot keep up")

    def _miss(self, window_id: int) -> None:
        """Nothing is there of its time. That may be how it was; but what is still waited for at the end is lost."""
        streams = (self._pictures, self._sound)
        if self._closing and any(ring.newest_ns is not None for ring in streams):
            log.error("no clip of window %d: there is nothing of its time; was the clock set?", window_id)
            self._on_clip(window_id, None)
        else:
            log.info("no clip of window %d: nothing was seen or heard", window_id)

    def _encode_all(self) -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)  # of this thread, on Linux
        while (task := self._waiting.get()) is not None:
            self._encode(task)

    def _encode(self, task: _Task) -> None:
        try:
            self._write(task)
        except Exception as error:  # FFmpeg raises dozens of its own, about pictures and sound that anybody may publish
            self._lose(task.window_id, task.cut, f"{type(error).__name__}: {error}")

    def _write(self, task: _Task) -> None:
        from mmal_ros.session.clip_encoder import encode_clip  # FFmpeg is loaded when the first flag needs it

        path = self._folder.clip_of(task.window_id)
        with replacing(path) as scratch:
            encode_clip(scratch, task.content)
        sync_folder(path.parent)
        with self._finishing:
            if self._is_wanted(task.window_id, task.cut):
                self._on_clip(task.window_id, path)
            else:
                path.unlink(missing_ok=True)

    def _lose(self, window_id: int, cut: int, why: str) -> None:
        with self._finishing:
            if self._is_wanted(window_id, cut):
                log.error("no clip of window %d: %s", window_id, why)
                self._on_clip(window_id, None)

    def _is_wanted(self, window_id: int, cut: int) -> bool:
        """Whether this cut was not dropped, lost or followed by another; it is finished now."""
        if self._wanted.get(window_id) != cut:
            return False
        del self._wanted[window_id]
        return True


class _Ring(Generic[Item]):
    """The last seconds of one stream, bounded in time and in bytes."""

    def __init__(self, keep_ns: int) -> None:
        self._keep_ns = keep_ns
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._items: deque[tuple[int, int, Item]] = deque()
        self._bytes = 0
        self.newest_ns: int | None = None

    def add(self, stamp_ns: int, item: Item, size: int) -> None:
        """Keep an item of so many bytes; older ones go."""
        if self.newest_ns is not None and stamp_ns < self.newest_ns - JUMP_NS:
            self.clear()  # the clock was set back: what was before has no place on it
        self.newest_ns = max(stamp_ns, self.newest_ns or 0)
        self._items.append((stamp_ns, size, item))
        self._bytes += size
        while self._items and (self._bytes > KEPT_BYTES or self._items[0][0] < self.newest_ns - self._keep_ns):
            self._bytes -= self._items.popleft()[1]

    def between(self, start_ns: int, end_ns: int) -> list[tuple[int, Item]]:
        """(stamp, item) of this time, in its order."""
        inside = [(stamp_ns, item) for stamp_ns, _, item in self._items if start_ns <= stamp_ns < end_ns]
        return sorted(inside, key=lambda entry: entry[0])
