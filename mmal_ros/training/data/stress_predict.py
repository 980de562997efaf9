"""Stress-Predict: an hour with an Empatica E4 on the wrist (Iqbal et al., Sensors 2022, 22(21):8135), MIT licence.

Read is the raw export of each person, through the code that plays a wristband live: `sensors.e4_folder`,
`features.physiology`, `windowing`. So PHYSIOLOGY has the 27 features of A-PHYS and windows ten steps of 100 ms, one
every 0.67 s. The heart rate that Empatica computed after the upload (HR.csv) is not looked at.

The button was pressed seven times: Stroop test start, end; interview start, end; hyperventilation start, end; end of
relaxation. They divide the recording into seven stretches, which are the blocks:

====== ============================================= ================
block  from - to                                     class
====== ============================================= ================
0      beginning of the recording - Stroop start     rest
1      Stroop start - Stroop end                     stress
2      Stroop end - interview start                  rest
3      interview start - interview end               stress
4      interview end - hyperventilation start        rest
5      hyperventilation start - its end              hyperventilation
6      hyperventilation end - end of relaxation      rest
====== ============================================= ================

Dropped is every window whose second does not lie within one stretch: what follows the end of relaxation, and the one
or two windows across a border. "Rest" is what the protocol calls so: questionnaires are filled in during it, the
first minutes are those of putting the band on, and the body needs its time to come down. Windows while the band is
not worn stay, with mask 0.

The features of a person take about 13 s to compute; they are kept under the cache folder, by the hash of the export
and of the code that makes them, so an interrupted run goes on.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np

from mmal_ros.datatypes import Modality
from mmal_ros.features.names import PHYSIOLOGY
from mmal_ros.features.physiology import FEATURE_SET
from mmal_ros.features.recording import FeatureRecording
from mmal_ros.sensors.e4_archive import ENDINGS, SIGNAL_FILES, TAGS_FILE, read_export
from mmal_ros.sensors.e4_csv import PARSERS
from mmal_ros.training.data.cutting import GAP_S, Segment, cut, middles_s, segment_of
from mmal_ros.training.data.errors import as_data_error
from mmal_ros.training.data.rows import in_order, one_class_only
from mmal_ros.training.data.wristbands import features_of
from mmal_ros.training.people import DataError, DataSet, PersonWindows

NAME = "stress-predict"
SOURCE = "Stress-Predict, Iqbal et al., Sensors 2022, 22(21):8135"
CLASSES = REST, STRESS, HYPERVENTILATION = ("rest", "stress", "hyperventilation")
STRETCHES = (REST, STRESS, REST, STRESS, REST, HYPERVENTILATION, REST)
FEATURE_SETS = {Modality.PHYSIOLOGY: FEATURE_SET}
CACHE = Path(".cache") / NAME


def load(folder: Path, cache: Path = CACHE, jobs: int = 2) -> DataSet:
    """All people of the folder: archives or folders of E4 exports, named by the person's code.

    Args:
        folder: with S05.tar.gz or S05/ and so on; other files are not looked at.
        cache: where computed features are kept.
        jobs: people whose features are computed at the same time.

    Raises:
        DataError: there is no export, or one is damaged, lacks a file or has not seven tags; names it.
    """
    exports = _exports(folder)
    protocols = {code: _protocol(path) for code, path in exports.items()}
    starts_ns = {code: protocol[0].start_ns for code, protocol in protocols.items()}
    recordings = features_of(exports, starts_ns, cache, jobs)
    people = tuple(_person(code, recordings[code], protocols[code]) for code in in_order(exports))
    return DataSet(
        NAME, SOURCE, CLASSES, {Modality.PHYSIOLOGY: PHYSIOLOGY}, people, GAP_S, one_class_only(people, CLASSES)
    )


def _exports(folder: Path) -> dict[str, Path]:
    """The export of each person, by code; raises DataError."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; expected one with S05.tar.gz and so on")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or not (path.is_dir() or path.name.endswith(ENDINGS)):
            continue
        code = next((path.name.removesuffix(end) for end in ENDINGS if path.name.endswith(end)), path.name)
        if code in found:
            raise DataError(f"{folder}: {found[code].name} and {path.name} are of the same person; delete one")
        found[code] = path
    if not found:
        raise DataError(f"{folder}: there is no E4 export in it; expected S05.tar.gz and so on")
    return found


def _protocol(export: Path) -> list[Segment]:
    """The stretches of a recording, by the tags; raises DataError."""
    with as_data_error():
        files = read_export(export)
        missing = [name for name in (*SIGNAL_FILES, TAGS_FILE) if name not in files]
        if missing:
            raise DataError(f"{export}: the export lacks {' and '.join(missing)}; copy it again from its origin")
        streams = {name: PARSERS[name](files[name], f"{export}/{name}") for name in files}
    tags_ns = streams.pop(TAGS_FILE).times_ns
    if len(tags_ns) != len(STRETCHES):
        raise DataError(
            f"{export}: there are {len(tags_ns)} tags, expected {len(STRETCHES)}: start and end of Stroop test, "
            "interview and hyperventilation, and the end of relaxation"
        )
    starts_ns = [stream.start_ns for stream in streams.values() if len(stream.times_ns)]
    end_ns = max((int(stream.times_ns[-1]) for stream in streams.values() if len(stream.times_ns)), default=0)
    if not starts_ns or not min(starts_ns) < tags_ns[0] or tags_ns[-1] > end_ns:
        raise DataError(f"{export}: its tags are not within its recording; are the files of different sessions?")
    borders_ns = pairwise([min(starts_ns), *tags_ns.tolist()])
    return [Segment(start, end, CLASSES.index(name)) for (start, end), name in zip(borders_ns, STRETCHES, strict=True)]


def _person(code: str, recording: FeatureRecording, protocol: list[Segment]) -> PersonWindows:
    windows = cut(recording, FEATURE_SETS)
    stretch = segment_of(windows.ends_ns, protocol)
    windows, stretch = windows.take(stretch >= 0), stretch[stretch >= 0]
    labels = np.array([segment.label for segment in protocol])[stretch]
    times_s = middles_s(windows.ends_ns, protocol[0].start_ns)
    return PersonWindows(code, windows.features, windows.mask, labels, times_s, stretch)
