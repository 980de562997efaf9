"""Audio features: 24 numbers about the voice per 100 ms, by one of two tools.

`opensmile-egemaps` is the set of the paper. openSMILE's licence allows research and education only; whoever needs
another licence takes `spectral`, made with NumPy and SciPy. A model knows which of them it was trained with.
"""

from __future__ import annotations

from mmal_ros.features.extractor import Extractor
from mmal_ros.wording import unknown

EXTRACTORS = ("opensmile-egemaps", "spectral")


def audio_extractor(name: str) -> Extractor:
    """The extractor of the feature set `name`: `opensmile-egemaps` (research and education only) or `spectral`.

    Both want 16 kHz mono. The modules are imported only when asked for, so that `spectral` works without openSMILE.

    Raises:
        ValueError: there is no such feature set.
        ImportError: openSMILE is not installed; the message says how to install it.
    """
    if name == "opensmile-egemaps":
        from mmal_ros.features.audio_opensmile import OpenSmileExtractor

        return OpenSmileExtractor()
    if name == "spectral":
        from mmal_ros.features.audio_spectral import SpectralExtractor

        return SpectralExtractor()
    raise ValueError(unknown("audio feature set", name, EXTRACTORS))
