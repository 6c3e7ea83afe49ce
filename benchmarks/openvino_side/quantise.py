"""Quantise a model by NNCF, in the environment of OpenVINO, which has neither decig nor ONNX.

python quantise.py MODEL.onnx INPUTS.npy OUT.xml

INPUTS.npy holds the calibration inputs, float32 N,C,H,W (or N,H,W,C), which are given one by one.
"""

import sys

import nncf
import numpy as np
import openvino


def main(model: str, inputs: str, out: str) -> None:
    """Write the model in eight bits as OpenVINO's files OUT.xml and OUT.bin."""
    images = np.load(inputs)
    dataset = nncf.Dataset([image[None] for image in images])
    quantised = nncf.quantize(openvino.convert_model(model), dataset, subset_size=len(images))
    openvino.save_model(quantised, out, compress_to_fp16=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
