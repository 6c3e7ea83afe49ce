"""Run models by OpenVINO for another process, which asks for one run after the other.

python serve.py

Requests and answers are JSON objects, one per line, on standard input and output:

    {"do": "version"}                                            {"version": "2026.4.1"}
    {"do": "open", "model": FILE, "inputs": FILE.npy}            {"number": 0}
    {"do": "time", "number": 0}                                  {"us": 5123.4}
    {"do": "paint", "model": FILE, "inputs": FILE.npy, "outputs": FILE.npy}    {}

A request that fails is answered by {"error": what went wrong}. Models run on one thread of the
processor. What is not quantised is computed in float32, as ONNX Runtime does; on some processors
OpenVINO would take bfloat16 by default.
"""

import json
import os
import sys
import time
from typing import Any

import numpy as np
import openvino

_SETTINGS = {
    "INFERENCE_NUM_THREADS": "1",
    "INFERENCE_PRECISION_HINT": "f32",
    "NUM_STREAMS": "1",
    "PERFORMANCE_HINT": "LATENCY",
}


class Server:
    """Models that were opened, by number."""

    def __init__(self) -> None:
        self._core = openvino.Core()
        self._opened: list[tuple[openvino.InferRequest, np.ndarray]] = []

    def answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Do what a request asks for."""
        if asked["do"] == "version":
            return {"version": openvino.__version__}
        if asked["do"] == "open":
            request, inputs = self._request(asked["model"]), np.load(asked["inputs"])
            self._opened.append((request, inputs[:1]))
            return {"number": len(self._opened) - 1}
        if asked["do"] == "time":
            request, inputs = self._opened[asked["number"]]
            start = time.perf_counter_ns()
            request.infer([inputs], share_inputs=True, share_outputs=True)
            return {"us": (time.perf_counter_ns() - start) / 1000}
        request, inputs = self._request(asked["model"]), np.load(asked["inputs"])
        painted = [np.array(request.infer([image[None]])[0]) for image in inputs]
        np.save(asked["outputs"], np.concatenate(painted))
        return {}

    def _request(self, model: str) -> "openvino.InferRequest":
        return self._core.compile_model(model, "CPU", _SETTINGS).create_infer_request()


def main() -> None:
    """Answer until there are no more requests."""
    # Whatever libraries print must not stand between the answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)
    server = Server()
    for line in sys.stdin:
        try:
            found = server.answer(json.loads(line))
        except Exception as error:  # OpenVINO's exceptions are RuntimeError and others
            found = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(found), file=answers)


if __name__ == "__main__":
    main()
