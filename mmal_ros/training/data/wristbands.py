"""The features of recorded wristbands, computed once and kept on disk.

Each person's file is named by the hash of the export and lies in a folder named by the code that makes the features,
so nothing stale is ever read, and an interrupted run goes on with the people that are left.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import signal
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn

from mmal_ros import datatypes, features, pipeline, sensors
from mmal_ros.features.physiology import PhysiologyExtractor
from mmal_ros.features.recording import FeatureRecording, read_recording, write_recording
from mmal_ros.pipeline import frames_of_samples
from mmal_ros.sensors.e4_archive import read_export
from mmal_ros.sensors.e4_folder import E4Folder
from mmal_ros.training import fingerprints
from mmal_ros.training.data.errors import as_data_error

_DEAF = (signal.signal, (signal.SIGINT, signal.SIG_IGN))
"""Ctrl-C is for the parent: those who are being computed are finished and kept, nobody else is begun."""


def features_of(
    exports: Mapping[str, Path], starts_ns: Mapping[str, int], cache: Path, jobs: int
) -> dict[str, FeatureRecording]:
    """The features of everybody, by code; those that the cache lacks are computed, with a progress bar.

    Args:
        exports: an E4 export, folder or archive, by the code of its person.
        starts_ns: when each recording begins.
        cache: where features are kept.
        jobs: people at the same time.

    Raises:
        DataError: an export cannot be read, or a file of the cache is damaged.
    """
    folder = cache / _fingerprint()
    folder.mkdir(parents=True, exist_ok=True)
    with as_data_error():
        files = {code: folder / f"{code}-{_hash(path)}.npz" for code, path in exports.items()}
        _compute([(files[code], exports[code], starts_ns[code]) for code in exports if not files[code].is_file()], jobs)
        return {code: read_recording(file) for code, file in files.items()}


def _compute(to_do: list[tuple[Path, Path, int]], jobs: int) -> None:
    if not to_do:
        return
    spawn = multiprocessing.get_context("spawn")
    columns = (*Progress.get_default_columns(), MofNCompleteColumn(), TimeElapsedColumn())
    with ProcessPoolExecutor(min(jobs, len(to_do)), spawn, *_DEAF) as pool, Progress(*columns) as progress:
        task = progress.add_task("features of wristbands", total=len(to_do))
        try:
            for done in as_completed([pool.submit(_write_features, *one) for one in to_do]):
                done.result()
                progress.advance(task)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _write_features(file: Path, export: Path, start_ns: int) -> None:
    with E4Folder(export, start_ns) as source:
        frames = frames_of_samples([(source, PhysiologyExtractor())])
        write_recording(file, start_ns, ((known_ns, frame) for known_ns, frame in frames if frame is not None))


def _hash(export: Path) -> str:
    """Names the content of an export, however it is packed."""
    digest = hashlib.sha256()
    for name, content in sorted(read_export(export).items()):
        digest.update(name.encode() + content)
    return digest.hexdigest()[:16]


def _fingerprint() -> str:
    """Names the code that makes the features."""
    folders = [Path(str(package.__file__)).parent for package in (features, sensors)]
    sources = [*folders[0].glob("*.py"), *folders[1].glob("e4_*.py")]
    makers = sorted(path for path in sources if path.name != "recording.py")  # it keeps features, it makes none
    return fingerprints.of_code([*makers, Path(str(datatypes.__file__)), Path(str(pipeline.__file__))])
