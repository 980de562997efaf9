"""How an ONNX file is opened, whatever is in it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnxruntime

from mmal_ros.model_card import ModelError

CPU = "CPUExecutionProvider"


def open_session(path: Path, providers: Sequence[str] = (CPU,)) -> onnxruntime.InferenceSession:
    """The graph, on one thread and without a word in the log; raises ModelError.

    Args:
        path: the file.
        providers: execution providers by ONNX Runtime's names, best first.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what fails is raised or reported by us
    try:
        # Its own fallback prints, tells nobody else, and does not ask whether it may.
        return onnxruntime.InferenceSession(path.read_bytes(), options, providers=list(providers), enable_fallback=0)
    except Exception as error:  # ONNX Runtime raises a dozen types of its own
        reason = " ".join(str(error).split())  # it may be several lines
        raise ModelError(f"{path}: ONNX Runtime cannot load it: {reason}") from error
