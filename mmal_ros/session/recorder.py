"""Records a session: takes what comes from any thread without waiting, and writes it in a thread of its own.

A flag is said to be recorded when it would survive a power cut, and never before. Features are flushed once a second:
so much of them a crash may cost. Where the disk fills up, `space` says what is given up; nothing stops the program.
"""

from __future__ import annotations

import logging
import shutil
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from math import isnan
from pathlib import Path
from time import monotonic, sleep

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, FloatArray
from mmal_ros.session.bag import claimed, sync_folder
from mmal_ros.session.bag_metadata import BagTopic
from mmal_ros.session.bag_queue import BagQueue
from mmal_ros.session.card import SessionCard, SessionError, write_session_card
from mmal_ros.session.clips import ClipRecorder
from mmal_ros.session.folder import new_session
from mmal_ros.session.inflow import Inflow
from mmal_ros.session.records import CLIP_LOST, Flag, Privacy
from mmal_ros.session.space import Room, Space, check_space, give_up_reserve
from mmal_ros.session.store import LARGEST_ID, BusyError, SessionStore, UnstorableError
from mmal_ros.wording import why

PERIOD_S = 1.0
"""The bag is flushed so often."""
LOOK_S = 0.25
"""So often it is looked how full the disk is, and tried again to write what it did not take."""
SILENT_S = 1.5
"""A disk that takes longer over one thing is said not to answer: nothing else tells of one that hangs."""
BUSY_TIMEOUT_S = 0.5
"""How long a flag waits for a page that writes, before the bag has its turn; at the next look it is tried again."""
UNSAVED = 1000
"""Flags and clips that may wait for a disk that cannot be written."""
STOP_TIMEOUT_S = 2.0
CLIPS_TIMEOUT_S = 10.0
LATE_CLIP_S = 600.0
"""One that took longer than that is lost already, but still at work on its file."""
AHEAD_NS = 60 * NANOSECONDS_PER_SECOND
"""A flag of later than this is of another clock: its clip would never be due."""
NO_ANSWER = "the session's disk does not answer: flags wait to be written, and what it does not take in time is lost"
ODD_FLAG = "a flag is passed over: window, stamp or utility cannot be; does another software publish it?"
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OnDisk:
    """Something about a flag that is safely on disk."""

    session: str
    """Name of its folder."""
    window_id: int
    withdrawn: bool = False
    """The flag is withdrawn, and its clip deleted."""
    clip: str = ""
    """File of the clip in the session's folder; empty: none yet."""


@dataclass(frozen=True, slots=True)
class _Fact:
    """What must not be lost, and what to say when it cannot be any more."""

    write: Callable[[], None]
    says: OnDisk | None


def _is_sane(flag: Flag, now_ns: int) -> bool:
    return flag.window_id <= LARGEST_ID and flag.stamp_ns < now_ns + AHEAD_NS and not isnan(flag.utility)


class SessionRecorder:
    """One session, from its start to its stop."""

    def __init__(
        self,
        root: Path,
        card: SessionCard,
        topics: Sequence[BagTopic],
        now_ns: Callable[[], int],
        on_disk: Callable[[OnDisk], None],
    ) -> None:
        """Make the folder and begin.

        Args:
            root: folder of all sessions.
            card: who, when and with what; its name is filled in.
            topics: what will be written to the bag.
            now_ns: the clock that stamps are taken from.
            on_disk: called from the recorder's thread, for every flag, withdrawal and clip, when it is durable.

        Raises:
            SessionError: there is no space, or nothing can be written to `root`.
        """
        check_space(root)
        self.folder = new_session(root, card.participant, card.start_ns)
        self.card = card.model_copy(update={"name": self.folder.name})
        self._now_ns = now_ns
        self._on_disk = on_disk
        self._known: dict[int, Flag | None] = {}  # by window; None: withdrawn
        self._facts: deque[_Fact] = deque()
        self._store_problem = ""
        self._troubles: dict[Callable[..., None], str] = {}  # of what failed when it was done last
        self._told_of_odd = False
        self._inflow = Inflow(self.card)
        self.clips_lost = 0
        """Flags whose clip could not be made."""
        self._wake = threading.Event()
        self._ending = False
        self._closed = threading.Event()
        self._finished = threading.Event()  # Python takes a thread for ended whose `join` a signal interrupts
        self._answered_s = monotonic()
        with ExitStack() as undo:  # of what is begun, when the rest fails
            undo.callback(shutil.rmtree, self.folder.path, ignore_errors=True)
            try:
                self._open(topics, undo)
                sync_folder(root)
            except OSError as error:
                raise SessionError(f"no session can be written to {root}: {why(error)}") from error
            undo.pop_all()
        threading.Thread(target=self._run, name="recorder", daemon=True).start()

    def _open(self, topics: Sequence[BagTopic], undo: ExitStack) -> None:
        self._claim = ExitStack()  # until its last clip is there
        undo.callback(self._claim.close)
        self._claim.enter_context(claimed(self.folder.path))
        self._space = Space(self.folder.path)
        self.bag = BagQueue(self.folder.bag, topics)
        """Takes messages, and says how much is written."""
        undo.callback(self.bag.close)
        self._store = SessionStore(self.folder.labels, BUSY_TIMEOUT_S)
        undo.callback(self._store.close)
        self._clips: ClipRecorder | None = None
        if self.card.privacy is not Privacy.FEATURES_ONLY:
            self._clips = ClipRecorder(self.folder, self._on_clip)
            undo.callback(self._clips.close, 0)
        self._write_card(self.card)  # last: from now on it is a session

    @property
    def flags(self) -> int:
        """Windows flagged and not withdrawn, on disk or about to be."""
        return sum(flag is not None for flag in list(self._known.values()))

    @property
    def is_writing(self) -> bool:
        """Whether anything is still to come onto the disk: after `stop`, its last clips."""
        return not self._finished.is_set()

    @property
    def problem(self) -> str:
        """Empty: all is well; else one sentence."""
        trouble = next(iter(list(self._troubles.values())), "")
        silent = NO_ANSWER if not self._ending and monotonic() - self._answered_s > SILENT_S else ""
        of_disk = silent or self._store_problem or trouble or self._space.problem or self.bag.problem
        return of_disk or self._inflow.problem(self._now_ns())

    def picture(self, stamp_ns: int, jpeg: bytes) -> None:
        """A picture that a clip may want to show."""
        self._inflow.seen_or_heard = True
        if self._clips is not None:
            self._clips.picture(stamp_ns, jpeg)

    def sound(self, stamp_ns: int, values: FloatArray, rate_hz: float) -> None:
        """Sound that a clip may want to play: mono, -1 to 1, the first value at the stamp."""
        self._inflow.seen_or_heard = True
        if self._clips is not None:
            self._clips.sound(stamp_ns, values, rate_hz)

    def flag(self, flag: Flag) -> None:
        """Keep a flag; what is said again, and what is older than the session, is passed over.

        Of a window that is flagged already policy and reason may change: a person's take the place of the policy's.
        """
        known = self._known.get(flag.window_id)
        if flag.stamp_ns < self.card.start_ns or flag == known:
            return
        if not _is_sane(flag, self._now_ns()):
            log.log(logging.DEBUG if self._told_of_odd else logging.ERROR, ODD_FLAG)  # there may be any number
            self._told_of_odd = True
            return
        if self._keep(partial(self._store.flag, flag), self._says(flag.window_id)):
            self._known[flag.window_id] = flag
            if self._clips is not None and known is None:
                self._clips.cut(flag.window_id, flag.stamp_ns)

    def withdraw(self, window_id: int, stamp_ns: int) -> None:
        """A flag is not to be labelled; its clip is deleted. Passed over as `flag` does."""
        if stamp_ns < self.card.start_ns or window_id > LARGEST_ID:  # it is not, or cannot be, of this session
            return
        if window_id in self._known and self._known[window_id] is None:
            return
        if self._keep(partial(self._withdraw, window_id), self._says(window_id, withdrawn=True)):
            self._known[window_id] = None

    def name_model(self, model: str) -> None:
        """Say which model set is in use, where the card does not yet."""
        if not self.card.model:
            self.card = self.card.model_copy(update={"model": model})
            self._keep(partial(self._write_card, self.card), None)

    def stop(self) -> None:
        """End the session: bag and card are complete when this returns. Clips may take some seconds more."""
        self._ending = True
        self._wake.set()
        if not self._closed.wait(STOP_TIMEOUT_S):
            log.error("the recording does not end; the disk may be slow")

    def join(self) -> None:
        """Wait, after `stop`, for the clips."""
        self._finished.wait(CLIPS_TIMEOUT_S + STOP_TIMEOUT_S)

    def _keep(self, write: Callable[[], None], says: OnDisk | None) -> bool:
        if len(self._facts) >= UNSAVED:
            log.error("a flag is lost: %d wait already, because the disk cannot be written", UNSAVED)
            return False
        self._facts.append(_Fact(write, says))
        self._wake.set()
        return True

    def _says(self, window_id: int, *, withdrawn: bool = False, clip: str = "") -> OnDisk:
        return OnDisk(self.folder.name, window_id, withdrawn, clip)

    def _withdraw(self, window_id: int) -> None:
        self._store.withdraw(window_id)
        if self._clips is not None:
            self._clips.drop(window_id)

    def _on_clip(self, window_id: int, path: Path | None) -> None:
        if self._known.get(window_id) is None:
            return
        self.clips_lost += path is None
        clip = f"{path.parent.name}/{path.name}" if path else CLIP_LOST
        says = self._says(window_id, clip=clip) if path else None
        self._keep(partial(self._store.attach_clip, window_id, clip), says)

    def _run(self) -> None:
        due_s = monotonic()
        while not self._ending:
            self._wake.wait(LOOK_S)
            self._wake.clear()
            self._guarded(self._save)
            self._guarded(self._look)
            if monotonic() >= due_s:
                self._guarded(self._tend)
                due_s = monotonic() + PERIOD_S
        self._guarded(self._complete)
        self._closed.set()
        self._guarded(self._complete_clips)
        self._finished.set()

    def _guarded(self, work: Callable[..., None], *of: OnDisk) -> None:
        """The thread's last line of defence: report, and go on with what can go on."""
        self._answered_s = monotonic()  # to what was done before this
        try:
            work(*of)
        except Exception as error:
            trouble = f"recording is in trouble: {type(error).__name__}: {error}"
            if trouble != self._troubles.get(work):  # else it would be said four times a second
                log.exception("recording a session")
            self._troubles[work] = trouble
        else:
            self._troubles.pop(work, None)

    def _save(self) -> None:
        """Write what must not be lost, in the order in which it came; what cannot be written now waits."""
        while self._facts:
            fact = self._facts[0]
            try:
                fact.write()
            except UnstorableError:
                self._facts.popleft()  # or it would be in the way of all others
                self._store_problem = ""
                log.exception("what was said of a flag cannot be kept, and is passed over")
                continue
            except (SessionError, OSError) as error:
                if not isinstance(error, BusyError) and give_up_reserve(self.folder.path):
                    continue
                self._store_problem = f"flags wait to be written: {error}"
                return
            except Exception as error:
                self._facts.popleft()  # or it would be in the way of all others
                self._store_problem = f"a flag or clip could not be recorded: {type(error).__name__}: {error}"
                raise
            self._store_problem = ""
            self._facts.popleft()
            if fact.says is not None:
                self._guarded(self._on_disk, fact.says)

    def _look(self) -> None:
        """Give up what there is no room for, and take it up again."""
        room = self._space.look()
        self.bag.paused = room < Room.FEATURES
        if self._clips is not None:
            self._clips.paused = room < Room.CLIPS

    def _tend(self) -> None:
        now_ns = self._now_ns()
        self._inflow.note_time(now_ns)
        self.bag.write()
        if self._clips is not None:
            self._clips.tick(now_ns)

    def _complete(self) -> None:
        give_up_reserve(self.folder.path)
        self._guarded(self._save)
        self._guarded(self.bag.close)
        end_ns = self._now_ns()
        end = datetime.fromtimestamp(end_ns / NANOSECONDS_PER_SECOND, UTC)
        self._write_card(self.card.model_copy(update={"end": end, "end_ns": end_ns}))

    def _complete_clips(self) -> None:
        deadline_s = monotonic() + CLIPS_TIMEOUT_S
        if self._clips is not None:
            self._clips.close(CLIPS_TIMEOUT_S)
        self._guarded(self._save)
        while self._facts and monotonic() < deadline_s:  # nobody tries again later
            sleep(LOOK_S)
            self._guarded(self._save)
        self._guarded(self._store.close)
        if self._facts:
            log.error("%d flags or clips could not be written", len(self._facts))
        elif self._clips is None or self._clips.is_done(LATE_CLIP_S):
            self._claim.close()  # else whoever opens the session finds out what is missing, and what is left over

    def _write_card(self, card: SessionCard) -> None:
        write_session_card(self.folder.path, card)
        sync_folder(self.folder.path)
