"""openSMILE's eGeMAPSv02 low-level descriptors as a stream (Eyben et al., 2016). For research and education only.

openSMILE runs in a thread of its own, is given 10 ms of sound at a time and is waited for until it has nothing more to
do. How many descriptor frames come back is not a function of the time alone: its pitch tracker (Viterbi, at most 40
frames) holds frames back until all paths agree, so a frame of 60 ms comes 80 ms after its start at the earliest, often
10 to 50 ms later. Which hop brings which frame is a function of the sound, equal live and offline.

The frames are bit-identical to `opensmile.Smile.process_signal`, except that the last ones of a recording (seven to
twelve), which openSMILE only gives out when it is told that the sound has ended, never come, and that values of +1 are
clipped where `process_signal` lets them overflow to -1.
"""

from __future__ import annotations

import logging
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np

from mmal_ros.datatypes import FloatArray
from mmal_ros.features.audio_steps import HOP_VALUES, RATE_HZ, SteppedExtractor
from mmal_ros.features.names import AUDIO_OPENSMILE

try:
    import opensmile
    from opensmile.core.lib import OpenSMILE
except ImportError as error:
    raise ImportError(
        f"the audio features opensmile-egemaps cannot be loaded ({error}): pip install 'mmal_ros[robot]' (it needs "
        "opensmile and pyarrow<25), or choose the feature set spectral"
    ) from error

CONFIG = Path(opensmile.__file__).parent / "core" / "config"
SOURCE, DESCRIPTORS, IDLE = "sound", "descriptors", "idle"
"""Names of our components in openSMILE's graph."""
IDLE_TICKS = 80
"""One hop must be worked off within so many ticks of openSMILE: 40 frames that the pitch tracker (bufferLength=40)
may let go at once, one per tick, and the length of the chain behind it, 15, with a reserve."""
log = logging.getLogger(__name__)
ANSWER_TIMEOUT_S = 10.0
"""An answer takes 0.6 ms; this is for a machine that was suspended."""
END_TIMEOUT_S = 5.0

# The descriptor half of eGeMAPSv02 alone, every level a ring: the stock configuration also keeps everything for the
# functionals and grows by 750 MB an hour. The ring of the sound is what jitter needs to look back to (2.5 s) and more.
# The branch `pulse` -> `rest` -> `idle` does nothing, slowly: it cuts a hop into 80 crumbs and takes one per tick, so
# its answer comes when all others have long finished. openSMILE has no other way to tell that it waits for sound.
GRAPH = f"""
[componentInstances:cComponentManager]
instance[dataMemory].type=cDataMemory
instance[{SOURCE}].type=cExternalAudioSource
printLevelStats=0

[{SOURCE}:cExternalAudioSource]
writer.dmLevel=wave
writer.levelconf.growDyn=0
writer.levelconf.isRb=1
buffersize_sec=5.0
blocksize_sec={HOP_VALUES / RATE_HZ}
sampleRate={RATE_HZ}
nBits=16
channels=1

\\{{{CONFIG}/gemaps/v01b/GeMAPSv01b_core.lld.conf.inc}}
\\{{{CONFIG}/egemaps/v02/eGeMAPSv02_core.lld.conf.inc}}

[componentInstances:cComponentManager]
instance[lldconcat].type=cVectorConcat
instance[{DESCRIPTORS}].type=cExternalSink
instance[pulse].type=cFramer
instance[rest].type=cFramer
instance[{IDLE}].type=cExternalSink

[lldconcat:cVectorConcat]
reader.dmLevel=egemapsv02_lldsetE_smo;egemapsv02_lldsetF_smo
writer.dmLevel=lld
includeSingleElementFields=1

[{DESCRIPTORS}:cExternalSink]
reader.dmLevel=lld

[pulse:cFramer]
reader.dmLevel=wave
writer.dmLevel=pulse
writer.levelconf.growDyn=0
writer.levelconf.isRb=1
writer.levelconf.nT={2 * IDLE_TICKS}
frameSize={HOP_VALUES / RATE_HZ / IDLE_TICKS}
frameStep={HOP_VALUES / RATE_HZ / IDLE_TICKS}
frameCenterSpecial=left

[rest:cFramer]
reader.dmLevel=pulse
writer.dmLevel=rest
writer.levelconf.growDyn=0
writer.levelconf.isRb=1
writer.levelconf.nT=4
frameSize={HOP_VALUES / RATE_HZ}
frameStep={HOP_VALUES / RATE_HZ}
frameCenterSpecial=left

[{IDLE}:cExternalSink]
reader.dmLevel=rest
"""
OPTIONS = {
    "bufferModeRbConf": CONFIG / "shared" / "BufferModeRb.conf.inc",
    "bufferModeConf": CONFIG / "shared" / "BufferModeRbLag.conf.inc",
}


class OpenSmileStream:
    """A `HopAnalyser`: 10 ms of sound in, the descriptor frames (24,) that they make known out.

    An openSMILE that does not answer in time is given up, and another one begins without the sound so far.
    """

    def __init__(self) -> None:
        self._running = RunningOpenSmile()

    def analyse(self, hop: FloatArray) -> list[FloatArray]:
        """Hand over 10 ms, wait until openSMILE is idle again, and return what it found."""
        found = self._running.analyse(hop)
        if found is None:
            log.error("openSMILE did not answer within %g s; starting it anew", ANSWER_TIMEOUT_S)
            self.restart()
            return []
        return found

    def restart(self) -> None:
        """Forget the sound so far: a new graph, in about 5 ms."""
        self.close()
        self._running = RunningOpenSmile()

    def close(self) -> None:
        """End openSMILE and its thread."""
        self._running.close()


class RunningOpenSmile:
    """One openSMILE in its thread. What it finds is its own: one that was given up may still wake up and find more."""

    def __init__(self) -> None:
        self._found: list[FloatArray] = []
        self._idle = threading.Semaphore(0)
        self._smile = _load_graph()
        self._columns = _columns(self._smile)
        self._smile.external_sink_set_callback_ex(DESCRIPTORS, self._on_descriptors)
        self._smile.external_sink_set_callback_ex(IDLE, lambda *_: self._idle.release())
        self._thread = threading.Thread(target=self._smile.run, name="opensmile", daemon=True)
        self._thread.start()

    def analyse(self, hop: FloatArray) -> list[FloatArray] | None:
        """What 10 ms of sound, (160,), make known; None: it does not answer."""
        # Cut off, not rounded, as opensmile.Smile.process_signal does it.
        pcm = np.clip(hop * 32768, -32768, 32767).astype("<i2").tobytes()
        taken = self._smile.external_audio_source_write_data(SOURCE, pcm)
        if not taken or not self._idle.acquire(timeout=ANSWER_TIMEOUT_S):
            return None
        found = list(self._found)
        self._found.clear()
        return found

    def close(self) -> None:
        """End it and its thread; harmless when called twice."""
        if not self._thread.is_alive():
            return
        self._smile.external_audio_source_set_eoi(SOURCE)
        self._thread.join(END_TIMEOUT_S)
        if not self._thread.is_alive():  # else rather leak it than free what is in use
            self._smile.free()

    def _on_descriptors(self, frame: FloatArray, _: Any) -> None:
        self._found.append(frame.ravel()[self._columns])


class OpenSmileExtractor(SteppedExtractor):
    """24 eGeMAPSv02 descriptors per 100 ms (`names.AUDIO_OPENSMILE`). For research and education only."""

    def __init__(self) -> None:
        super().__init__("opensmile-egemaps", OpenSmileStream())


def _load_graph() -> Any:
    smile = OpenSMILE()
    with tempfile.NamedTemporaryFile("w", prefix="mmal_opensmile_", suffix=".conf") as file:
        file.write(GRAPH)
        file.flush()
        smile.initialize(file.name, OPTIONS, loglevel=1)
    return smile


def _columns(smile: Any) -> list[int]:
    """Where the names of `AUDIO_OPENSMILE` stand in openSMILE's frames."""
    count = smile.external_sink_get_num_elements(DESCRIPTORS)
    found = [smile.external_sink_get_element_name(DESCRIPTORS, i) for i in range(count)]
    return [found.index(name) for name in AUDIO_OPENSMILE]
