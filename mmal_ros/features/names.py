"""Names, order and units of the 378 features: FACE 257, BODY 70, A-PHYS 27, AUDIO 24.

The totals and the tools are the paper's (MMQL 2019, sec. 4.1); the lists use each tool's whole groups, under the
tool's own names, so that files made by OpenFace 2, OpenPose, an E4 or openSMILE import column by column.
"""

from __future__ import annotations

from mmal_ros.datatypes import Modality

AXES = ("x", "y", "z")

# --- FACE: OpenFace 2 --------------------------------------------------------------------------------------------
LANDMARKS = 68
ACTION_UNITS = tuple(f"AU{n:02d}" for n in (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 45))
ACTION_UNITS_PRESENCE = tuple(sorted((*ACTION_UNITS, "AU28")))

GAZE = tuple(f"gaze_{eye}_{axis}" for eye in (0, 1) for axis in AXES)
"""Unit vectors of the right (0) and the left (1) eye of the person, camera coordinates."""
HEAD_POSITION = ("pose_Tx", "pose_Ty", "pose_Tz")
"""Millimetres, camera coordinates."""
HEAD_ROTATION = ("pose_Rx", "pose_Ry", "pose_Rz")
"""Radians: pitch, yaw, roll, camera coordinates."""
LANDMARKS_3D = tuple(f"{axis}_{i}" for axis in ("X", "Y", "Z") for i in range(LANDMARKS))
"""Millimetres, camera coordinates."""
SHAPE_RIGID = ("p_scale", "p_rx", "p_ry", "p_rz", "p_tx", "p_ty")
"""Scale in pixels per millimetre, rotation in radians, position in pixels."""
ACTION_UNIT_INTENSITY = tuple(f"{unit}_r" for unit in ACTION_UNITS)
"""0 to 5. Live these are geometric proxies, not FACS codes: see `mmal_ros.features.face`."""
ACTION_UNIT_PRESENCE = tuple(f"{unit}_c" for unit in ACTION_UNITS_PRESENCE)
"""0 or 1."""
FACE = (
    *GAZE,
    *HEAD_POSITION,
    *HEAD_ROTATION,
    *LANDMARKS_3D,
    *SHAPE_RIGID,
    *ACTION_UNIT_INTENSITY,
    *ACTION_UNIT_PRESENCE,
)

# --- BODY: OpenPose BODY_18 --------------------------------------------------------------------------------------
JOINTS = (
    "nose", "neck",
    "right_shoulder", "right_elbow", "right_wrist",
    "left_shoulder", "left_elbow", "left_wrist",
    "right_hip", "right_knee", "right_ankle",
    "left_hip", "left_knee", "left_ankle",
    "right_eye", "left_eye", "right_ear", "left_ear",
)  # fmt: skip
"""Positions relative to the neck in torso lengths, x to the right of the image and y down; confidence 0-1."""
POSTURE = (
    "torso_length",  # share of the image's height
    "lean_sin", "lean_cos",  # of the torso against the vertical
    "shoulder_tilt",  # radians
    "head_offset_x", "head_offset_y",  # torso lengths, nose against neck
    "head_roll",  # radians
    "right_wrist_height", "left_wrist_height",  # torso lengths above the neck
    "wrist_face_distance",  # torso lengths, the nearer wrist
    "mean_confidence", "visible_joints",  # 0-1
)  # fmt: skip
BOUNDING_BOX = ("box_x", "box_y", "box_width", "box_height")
"""Centre and size, share of the image's width and height."""
BODY = (
    *(f"{joint}_{part}" for joint in JOINTS for part in ("x", "y", "confidence")),
    *BOUNDING_BOX,
    *POSTURE,
)

# --- A-PHYS: E4 --------------------------------------------------------------------------------------------------
PHYSIOLOGY_SIGNALS = (
    "eda", "eda_tonic", "eda_phasic",  # microsiemens
    "heart_rate",  # 1/min
    "temperature",  # degrees Celsius
    "acc_x", "acc_y", "acc_z", "acc_magnitude",  # g
)  # fmt: skip
PHYSIOLOGY_STATISTICS = ("value", "deviation", "slope")
"""Value, rolling standard deviation, rolling slope per second: over 2 s for acceleration, 10 s for the rest."""
PHYSIOLOGY = tuple(f"{signal}_{statistic}" for signal in PHYSIOLOGY_SIGNALS for statistic in PHYSIOLOGY_STATISTICS)

# --- AUDIO: openSMILE eGeMAPSv02 low-level descriptors, or plain spectral ones -----------------------------------
AUDIO_OPENSMILE = (
    "Loudness_sma3", "alphaRatio_sma3", "hammarbergIndex_sma3", "slope0-500_sma3", "slope500-1500_sma3",
    "spectralFlux_sma3", "mfcc1_sma3", "mfcc2_sma3", "mfcc3_sma3", "mfcc4_sma3",
    "F0semitoneFrom27.5Hz_sma3nz", "jitterLocal_sma3nz", "shimmerLocaldB_sma3nz", "HNRdBACF_sma3nz",
    "logRelF0-H1-H2_sma3nz", "logRelF0-H1-A3_sma3nz",
    "F1frequency_sma3nz", "F1bandwidth_sma3nz", "F1amplitudeLogRelF0_sma3nz",
    "F2frequency_sma3nz", "F2bandwidth_sma3nz", "F2amplitudeLogRelF0_sma3nz",
    "F3frequency_sma3nz", "F3amplitudeLogRelF0_sma3nz",
)  # fmt: skip
"""eGeMAPSv02 has 25; F3bandwidth is left out to meet the paper's 24."""
AUDIO_SPECTRAL = (
    *(f"mfcc_{i}" for i in range(1, 13)),
    "log_energy", "zero_crossing_rate", "voicing", "f0_semitone", "f0_change",
    "jitter", "shimmer", "hnr", "spectral_centroid", "spectral_rolloff", "spectral_flux", "spectral_flatness",
)  # fmt: skip

# --- all ---------------------------------------------------------------------------------------------------------
FEATURE_SETS: dict[str, tuple[Modality, tuple[str, ...]]] = {
    "openface-2": (Modality.FACE, FACE),
    "mediapipe-face": (Modality.FACE, FACE),
    "openpose-18": (Modality.BODY, BODY),
    "mediapipe-pose": (Modality.BODY, BODY),
    "e4": (Modality.PHYSIOLOGY, PHYSIOLOGY),
    "opensmile-egemaps": (Modality.AUDIO, AUDIO_OPENSMILE),
    "spectral": (Modality.AUDIO, AUDIO_SPECTRAL),
}
"""Every list of features, by the identifier that frames and model cards carry. The same names measured by another
tool are another set: MediaPipe's action units are proxies and OpenFace's are not."""

SIZES = {Modality.FACE: len(FACE), Modality.BODY: len(BODY), Modality.PHYSIOLOGY: len(PHYSIOLOGY), Modality.AUDIO: 24}
