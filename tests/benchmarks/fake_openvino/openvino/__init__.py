"""What benchmarks/openvino_side calls of OpenVINO, by ONNX Runtime: files .xml hold ONNX."""

from pathlib import Path

import onnxruntime

__version__ = "0.0-fake"


def convert_model(path):
    return Path(path).read_bytes()


def save_model(model, path, *, compress_to_fp16):
    assert compress_to_fp16 is False
    Path(path).write_bytes(model)


class Core:
    def compile_model(self, path, device, settings):
        assert device == "CPU" and settings["INFERENCE_NUM_THREADS"] == "1"
        return _Compiled(onnxruntime.InferenceSession(Path(path).read_bytes()))


class _Compiled:
    def __init__(self, session):
        self._session = session

    def create_infer_request(self):
        return self

    def infer(self, inputs, share_inputs=False, share_outputs=False):
        name = self._session.get_inputs()[0].name
        return dict(enumerate(self._session.run(None, {name: inputs[0]})))
