"""24 plain measures of sound with NumPy and SciPy, in place of openSMILE where its licence does not fit.

Every 10 ms: the spectrum of the last 25 ms, and pitch from the autocorrelation of the last 40 ms. They are not
openSMILE's numbers and make a feature set of their own. Jitter and shimmer compare hops, not single glottal cycles.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct
from scipy.signal import find_peaks
from scipy.signal.windows import hamming, hann

from mmal_ros.datatypes import FloatArray
from mmal_ros.features.audio_steps import RATE_HZ, SteppedExtractor
from mmal_ros.features.names import AUDIO_SPECTRAL

Array = NDArray[np.float64]

SPECTRUM_VALUES = 400
"""25 ms, as in HTK."""
PITCH_VALUES = 640
"""40 ms: more than two periods of the lowest voice."""
SPECTRUM_FFT = 512
PITCH_FFT = 1024
"""At least PITCH_VALUES + LONGEST_PERIOD, so that the autocorrelation does not wrap round."""
SHORTEST_PERIOD = RATE_HZ // 600
LONGEST_PERIOD = RATE_HZ // 60
"""In values: voices of 60 Hz (a man) to 600 Hz (a child who laughs)."""
VOICED_FROM = 0.45
"""Least voicing of a voiced hop: the default of Praat."""
OCTAVE_TOLERANCE = 0.9
"""Twice the period correlates as well: the shortest period that comes so near to the best one is taken."""
F0_REFERENCE_HZ = 27.5
"""Semitones count from here, as in eGeMAPS."""
MEL_BANDS, MEL_LOW_HZ, MEL_HIGH_HZ = 26, 20.0, 8000.0
ROLLOFF_SHARE = 0.85
FLOOR = 1e-10
"""-100 dB: keeps logarithms finite where there is no sound."""
MOST_HARMONIC = 0.999
"""30 dB: beyond, the autocorrelation of 40 ms says more about the window than about the voice."""


class Pitch(NamedTuple):
    """What the autocorrelation says about 40 ms."""

    voicing: float
    """0-1, height of its peak: share of the power that repeats."""
    period: float
    """In values, interpolated; 0 where not voiced."""
    peak_to_peak: float
    """Of the newest period; 0 where not voiced."""

    @property
    def f0_semitone(self) -> float:
        """Semitones above 27.5 Hz; 0 where not voiced."""
        return 12 * float(np.log2(RATE_HZ / self.period / F0_REFERENCE_HZ)) if self.period else 0.0

    @property
    def hnr_db(self) -> float:
        """Harmonics-to-noise ratio (Boersma 1993), -30 to 30 dB."""
        share = min(max(self.voicing, 1 - MOST_HARMONIC), MOST_HARMONIC)
        return 10 * float(np.log10(share / (1 - share)))


SILENT = Pitch(0.0, 0.0, 0.0)


def find_pitch(sound: Array) -> Pitch:
    """Pitch of (640,) values: peak of the autocorrelation divided by that of the window (Boersma 1993)."""
    correlation = _autocorrelation((sound - sound.mean()) * PITCH_WINDOW)
    if correlation[0] < FLOOR:
        return SILENT
    correlation = correlation / correlation[0] / PITCH_WINDOW_CORRELATION
    peaks = find_peaks(correlation)[0]
    peaks = peaks[peaks >= SHORTEST_PERIOD]
    if not len(peaks):
        return SILENT
    heights = correlation[peaks]
    peak = int(peaks[np.argmax(heights >= OCTAVE_TOLERANCE * heights.max())])
    voicing = float(np.clip(correlation[peak], 0, 1))
    if voicing < VOICED_FROM:
        return Pitch(voicing, 0.0, 0.0)
    before, at, after = correlation[peak - 1 : peak + 2]
    period = peak + float((before - after) / (2 * (before - 2 * at + after)))  # vertex of the parabola
    return Pitch(voicing, period, float(np.ptp(sound[-round(period) :])))


def spectral_measures(sound: Array) -> tuple[Array, Array]:
    """Of (400,) values: MFCC 1-12, (12,), and the magnitude spectrum, (257,)."""
    magnitude = np.abs(np.fft.rfft(sound * SPECTRUM_WINDOW, SPECTRUM_FFT))
    mel_energies = np.log(np.maximum(MEL_FILTERS @ magnitude**2, FLOOR))
    return dct(mel_energies, norm="ortho")[1:13], magnitude


def spectral_shape(magnitude: Array) -> tuple[float, float, float]:
    """Centroid in Hz, roll-off in Hz (85 % of the power lie below), flatness 0-1; zeros where there is no sound."""
    power = magnitude**2
    total = power.sum()
    if total < FLOOR:
        return 0.0, 0.0, 0.0
    centroid = float(FREQUENCIES_HZ @ power / total)
    rolloff = float(FREQUENCIES_HZ[np.searchsorted(np.cumsum(power), ROLLOFF_SHARE * total)])
    flatness = float(np.exp(np.log(np.maximum(power, FLOOR)).mean()) / np.maximum(power, FLOOR).mean())
    return centroid, rolloff, flatness


class SpectralAnalyser:
    """A `HopAnalyser`: one vector (24,) per hop as soon as 40 ms are there, in the order of `AUDIO_SPECTRAL`.

    log_energy dB of full scale, -100 to 0 · zero_crossing_rate share of values, 0-1 · voicing 0-1 · f0_semitone above
    27.5 Hz, 0 unvoiced · f0_change semitones since the last hop · jitter difference of the period to the last hop,
    share of their mean · shimmer difference of the peak-to-peak amplitude to the last hop, dB · hnr dB ·
    spectral_flux distance of the spectra, each of sum 1, to the last hop. The comparisons are 0 unless both hops are
    voiced (flux: unless there is one before).
    """

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Forget the sound so far."""
        self._recent: Array = np.zeros(0)
        self._last_pitch = SILENT
        self._last_shares: Array | None = None

    def close(self) -> None:
        """Nothing is held."""

    def analyse(self, hop: FloatArray) -> list[FloatArray]:
        """The vector of the 40 ms that end with these 10 ms."""
        self._recent = np.concatenate([self._recent, hop])[-PITCH_VALUES:]
        if len(self._recent) < PITCH_VALUES:
            return []
        sound = self._recent[-SPECTRUM_VALUES:]
        pitch = find_pitch(self._recent)
        mfcc, magnitude = spectral_measures(sound)
        centroid, rolloff, flatness = spectral_shape(magnitude)
        vector = [
            *mfcc,
            10 * np.log10(max(float(sound @ sound) / len(sound), FLOOR)),
            float(np.mean(np.signbit(sound[1:]) != np.signbit(sound[:-1]))),
            pitch.voicing,
            pitch.f0_semitone,
            *compare(self._last_pitch, pitch),
            pitch.hnr_db,
            centroid,
            rolloff,
            self._flux(magnitude),
            flatness,
        ]
        self._last_pitch = pitch
        return [np.array(vector, np.float32)]

    def _flux(self, magnitude: Array) -> float:
        shares = magnitude / max(float(magnitude.sum()), FLOOR)
        last, self._last_shares = self._last_shares, shares
        return 0.0 if last is None else float(np.linalg.norm(shares - last))


class SpectralExtractor(SteppedExtractor):
    """24 plain measures per 100 ms (`names.AUDIO_SPECTRAL`), free of openSMILE's licence."""

    def __init__(self) -> None:
        super().__init__("spectral", SpectralAnalyser())


def compare(last: Pitch, pitch: Pitch) -> tuple[float, float, float]:
    """Change of F0 in semitones, jitter as a share, shimmer in dB; zeros unless both are voiced."""
    if not (last.period and pitch.period):
        return 0.0, 0.0, 0.0
    jitter = abs(pitch.period - last.period) / ((pitch.period + last.period) / 2)
    shimmer = abs(20 * float(np.log10(max(pitch.peak_to_peak, FLOOR) / max(last.peak_to_peak, FLOOR))))
    return pitch.f0_semitone - last.f0_semitone, jitter, shimmer


def _autocorrelation(sound: Array) -> Array:
    """For lags of 0 to the longest period and one more, which a peak there needs beside it."""
    power = np.abs(np.fft.rfft(sound, PITCH_FFT)) ** 2
    return np.fft.irfft(power)[: LONGEST_PERIOD + 2]


def _mel_filters() -> Array:
    """(26, 257) triangles, equally spaced in mel = 2595 log10(1 + f / 700) (HTK)."""
    low, high = (2595 * np.log10(1 + edge / 700) for edge in (MEL_LOW_HZ, MEL_HIGH_HZ))
    edges = 700 * (10 ** (np.linspace(low, high, MEL_BANDS + 2) / 2595) - 1)
    left, middle, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (FREQUENCIES_HZ - left) / (middle - left), (right - FREQUENCIES_HZ) / (right - middle)
    filters: Array = np.maximum(0, np.minimum(rising, falling))
    return filters


FREQUENCIES_HZ: Array = np.fft.rfftfreq(SPECTRUM_FFT, 1 / RATE_HZ)
MEL_FILTERS = _mel_filters()
SPECTRUM_WINDOW: Array = hamming(SPECTRUM_VALUES)
PITCH_WINDOW: Array = hann(PITCH_VALUES)
PITCH_WINDOW_CORRELATION = _autocorrelation(PITCH_WINDOW) / _autocorrelation(PITCH_WINDOW)[0]
assert len(AUDIO_SPECTRAL) == 24
