"""A GPU that fails: no machine of ours has one that could be broken, or filled with something else."""

from __future__ import annotations

from typing import Any

from mmal_ros.models import PROVIDERS, Classifier


class LostGpu:
    """Stands in for an ONNX Runtime session on a GPU; one on the CPU answers for it while it works."""

    def __init__(self, session: Any, works: bool = False) -> None:
        self.works = works
        self._session = session
        self.get_inputs, self.get_outputs = session.get_inputs, session.get_outputs

    def get_providers(self) -> list[str]:
        return [PROVIDERS["cuda"], PROVIDERS["cpu"]]

    def run(self, *args: Any) -> Any:
        if not self.works:
            raise RuntimeError("CUDA error 719: unspecified launch failure")
        return self._session.run(*args)


def put_on_gpu(classifier: Classifier, works: bool = False) -> LostGpu:
    """Have a classifier run on such a GPU from now on."""
    session: Any = LostGpu(classifier._session, works)
    classifier._session, classifier._output = session, None
    return session
