"""A sound server of our own with a virtual microphone: PulseAudio without hardware, X11 or system D-Bus, also as root.

What is played to the loudspeaker `speaker` (a null sink) is heard by the microphone `virtual-mic`, the default source.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Self

import numpy as np
import soundfile
from numpy.typing import NDArray

PROGRAMS = ("pulseaudio", "pactl", "paplay", "parec")
START_TIMEOUT_S = 20.0
ENVIRONMENT = ("XDG_RUNTIME_DIR", "PULSE_SERVER")
MICROPHONE = "module-remap-source master=speaker.monitor source_name=virtual-mic"
SPEAKER = "module-null-sink sink_name=speaker rate=16000 channels=1 format=s16le"


class SoundServer:
    """A context manager; inside it, PyAudio in this process and in its children finds the virtual microphone."""

    def __enter__(self) -> Self:
        missing = [program for program in PROGRAMS if not shutil.which(program)]
        if missing:
            raise RuntimeError(f"missing {', '.join(missing)}: apt-get install pulseaudio pulseaudio-utils")
        _release_portaudio()
        self._folder = Path(tempfile.mkdtemp(prefix="sound_"))  # short: the path of a socket has at most 107 letters
        self._before = {name: os.environ.get(name) for name in ENVIRONMENT}
        os.environ["XDG_RUNTIME_DIR"] = str(self._folder)
        os.environ["PULSE_SERVER"] = f"unix:{self._socket}"
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        for name, value in self._before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        shutil.rmtree(self._folder)

    @property
    def _socket(self) -> Path:
        return self._folder / "pulse.sock"

    def start(self) -> None:
        """Start the server, with loudspeaker and microphone, and wait until it answers."""
        script = self._folder / "default.pa"
        script.write_text(
            f"load-module module-native-protocol-unix socket={self._socket} auth-anonymous=1\n"
            f"load-module {SPEAKER}\nload-module {MICROPHONE}\n"
            "set-default-sink speaker\nset-default-source virtual-mic\n"
        )
        self._socket.unlink(missing_ok=True)  # a killed server leaves it
        log = f"--log-target=file:{self._folder / 'log'}"
        command = ["pulseaudio", "-n", "-F", str(script), "--daemonize=no", "--exit-idle-time=-1", log]
        self._server = subprocess.Popen([*command, "--use-pid-file=no"], stderr=subprocess.DEVNULL)
        self._wait_until_ready()
        # Somebody who always listens keeps the loudspeaker awake: else the first block of a recording takes 2 s.
        self._listener = subprocess.Popen(
            ["parec", "--device=speaker.monitor", "--latency-msec=20"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while subprocess.run(["pactl", "info"], capture_output=True).returncode:
            if self._server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PulseAudio did not start: {(self._folder / 'log').read_text()}")
            time.sleep(0.05)

    def kill(self) -> None:
        """The server dies without a word."""
        for process in (self._server, self._listener):
            process.kill()
            process.wait()

    def suspend(self, suspended: bool) -> None:
        """Put the microphone to sleep, or wake it."""
        _pactl("suspend-source", "virtual-mic", str(int(suspended)))

    def unplug(self) -> None:
        """Remove the microphone, and with it the only thing that can be recorded from."""
        _pactl("unload-module", "module-remap-source")
        _pactl("unload-module", "module-null-sink")

    def plug_in(self) -> None:
        """Bring both back."""
        _pactl("load-module", *SPEAKER.split())
        _pactl("load-module", *MICROPHONE.split())
        _pactl("set-default-source", "virtual-mic")

    def play(self, pcm: NDArray[np.int16]) -> subprocess.Popen[bytes]:
        """Begin to play int16 mono of 16 kHz."""
        path = self._folder / "played.wav"
        soundfile.write(path, pcm, 16_000, subtype="PCM_16")
        return subprocess.Popen(["paplay", "--device=speaker", "--latency-msec=200", str(path)])


class Halted:
    """Inside this context the process `pid` stands still, as under a debugger or on a machine that swaps."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def __enter__(self) -> None:
        os.kill(self._pid, signal.SIGSTOP)

    def __exit__(self, *_: object) -> None:
        os.kill(self._pid, signal.SIGCONT)


def _pactl(*arguments: str) -> None:
    subprocess.run(["pactl", *arguments], check=True, capture_output=True)


def _release_portaudio() -> None:
    """MediaPipe imports sounddevice, which holds PortAudio open with the devices of that moment: none of ours."""
    sounddevice = sys.modules.get("sounddevice")
    if sounddevice is not None and sounddevice._initialized:
        sounddevice._terminate()
