"""Importers: feature files that other tools made, as feature frames, offline.

The law: strict in, the same features out. A file is read as its tool documents it, or refused with one
`FeatureFileError` that names the file, the line, the column, what stands there and what was expected; nothing is
guessed, repaired or skipped in silence. Frames come in the order of time with the stamps that a live extractor would
have given them, so that windows of a file and of a live run are made alike. Files of any length are read as a stream.
"""

from mmal_ros.features.importers.errors import FeatureFileError
from mmal_ros.features.importers.openface import read_openface
from mmal_ros.features.importers.openpose import read_openpose
from mmal_ros.features.importers.opensmile import read_opensmile
from mmal_ros.features.importers.table import read_table

__all__ = ["FeatureFileError", "read_openface", "read_openpose", "read_opensmile", "read_table"]
