"""PortAudio, as much of it as a microphone needs: what inputs there are, and a stream from one of them."""

from __future__ import annotations

import ctypes
import difflib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from mmal_ros.sensors.source import SourceError

try:
    import pyaudio
except ModuleNotFoundError as missing:
    raise SourceError(
        "a microphone needs the Python package PyAudio: apt-get install portaudio19-dev gcc && "
        "pip install 'mmal_ros[robot]'"
    ) from missing
except ImportError as missing:
    raise SourceError(f"PyAudio cannot be loaded ({missing}): apt-get install libportaudio2") from missing

DEFAULT = "default"
"""Stands for whatever input the system prefers at the moment."""

_ignore_alsa = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p)(
    lambda *_: None
)
_ignore_jack = ctypes.CFUNCTYPE(None, ctypes.c_char_p)(lambda *_: None)


class InputError(Exception):
    """The input cannot be used now; the message is the sentence for `SourceStatus.message`."""


def input_names() -> dict[int, str]:
    """The inputs of this machine, by PortAudio's index; changes when devices come and go."""
    with _portaudio() as portaudio:
        return _input_names(portaudio)


@contextmanager
def input_stream(device: str, rate_hz: int, block_size: int, on_block: Callable[[bytes], None]) -> Iterator[Any]:
    """Record int16 mono from a device; PortAudio's own thread hands blocks to `on_block`.

    Args:
        device: `default`, the index of an input, or its name (or a part of it that no other name has).
        rate_hz: sound servers and `default` give every rate, bare devices (`hw:`) only their own.
        block_size: values in a block.
        on_block: must return soon.

    Raises:
        InputError: there is no such input now, or it refuses; says which ones there are.
    """

    def on_data(data: bytes, *_: Any) -> tuple[None, int]:
        on_block(data)
        return None, pyaudio.paContinue

    with _portaudio() as portaudio:
        index = _find_input(_input_names(portaudio), device)
        try:
            stream = portaudio.open(
                rate=rate_hz,
                channels=1,
                format=pyaudio.paInt16,
                input=True,
                input_device_index=index,
                frames_per_buffer=block_size,
                stream_callback=on_data,
            )
        except OSError as error:
            remedy = (
                "see which sources the sound server has: pactl list short sources"
                if index is None
                else "end what else uses it, or use device:default, which goes through the sound server"
            )
            raise InputError(
                f"microphone '{device}' cannot be opened at {rate_hz} Hz mono ({error.args[-1]}): {remedy}"
            ) from error
        yield stream


@contextmanager
def _portaudio() -> Iterator[Any]:
    """PortAudio, freshly begun: it sees only the devices and the sound server that were there when it began."""
    _silence_probing()
    portaudio = pyaudio.PyAudio()
    try:
        yield portaudio
    finally:
        portaudio.terminate()  # closes the streams, too


def _silence_probing() -> None:
    """When PortAudio begins, ALSA and JACK write 100 lines to stderr about what this machine has not."""
    with suppress(OSError):  # no ALSA on this system, no noise
        ctypes.CDLL("libasound.so.2").snd_lib_error_set_handler(_ignore_alsa)
    with suppress(OSError):
        ctypes.CDLL("libjack.so.0").jack_set_error_function(_ignore_jack)


def _input_names(portaudio: Any) -> dict[int, str]:
    devices = [portaudio.get_device_info_by_index(index) for index in range(portaudio.get_device_count())]
    return {int(device["index"]): str(device["name"]) for device in devices if device["maxInputChannels"] > 0}


def _find_input(names: dict[int, str], device: str) -> int | None:
    """PortAudio's index of the device; None: the default one."""
    if not names:
        raise InputError("there is no microphone: plug one in, or start the sound server (pulseaudio --start)")
    if device == DEFAULT:
        return None
    matches = [index for index, name in names.items() if device in (name, str(index))]
    matches = matches or [index for index, name in names.items() if device.lower() in name.lower()]
    if len(matches) == 1:
        return matches[0]
    inputs = ", ".join(f"{index} {name!r}" for index, name in names.items())
    if matches:
        raise InputError(f"microphone '{device}' may be several inputs: name one by its index: {inputs}")
    close = difflib.get_close_matches(device, names.values(), n=1)
    hint = f"did you mean device:{close[0]}? " if close else ""
    raise InputError(f"there is no microphone '{device}' now; {hint}inputs: device:default, {inputs}")
