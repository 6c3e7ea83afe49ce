"""Quantise a teacher by ONNX Runtime's static quantisation, as its documentation does it.

python -m competitors.quantising MODEL.onnx INPUTS.npy --output-dir DIR

QuantizeLinear and DequantizeLinear around every operator that ONNX Runtime quantises, weights int8
with a scale per channel, activations uint8 between their least and greatest calibration values.
"""

import tempfile
from collections.abc import Iterable
from pathlib import Path

import click
import numpy as np
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from decig.cli.values import EXISTING_FILE, FOLDER
from decig.errors import BadInputError, first_line
from decig.files import atomic_path


class _Reader(CalibrationDataReader):  # type: ignore[misc]  # no types
    """Gives the calibration one input at a time."""

    def __init__(self, name: str, inputs: Iterable[np.ndarray]) -> None:
        self._feeds = ({name: each[None]} for each in inputs)

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._feeds, None)


def quantise(model: Path, inputs: np.ndarray, out: Path) -> None:
    """Write a model in eight bits.

    Args:
        model: an ONNX file.
        inputs: calibration inputs, one behind the other.
        out: the file to write.

    Raises:
        BadInputError: ONNX Runtime cannot quantise it.
    """
    name = onnx.load(model, load_external_data=False).graph.input[0].name
    with tempfile.TemporaryDirectory() as folder, atomic_path(out) as temporary:
        prepared = Path(folder) / "prepared.onnx"
        try:
            quant_pre_process(model, prepared)
            quantize_static(
                prepared,
                temporary,
                _Reader(name, inputs),
                quant_format=QuantFormat.QDQ,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                per_channel=True,
                calibrate_method=CalibrationMethod.MinMax,
            )
        except Exception as error:  # its converters raise errors of any type
            raise BadInputError(
                f"{model}: ONNX Runtime cannot quantise it: {first_line(error)}"
            ) from error


@click.command()
@click.argument("model", type=EXISTING_FILE)
@click.argument("inputs", type=EXISTING_FILE)
@click.option("--output-dir", type=FOLDER, required=True)
def main(model: Path, inputs: Path, output_dir: Path) -> None:
    """Quantise a model and leave student.onnx."""
    output_dir.mkdir(parents=True, exist_ok=True)
    quantise(model, np.load(inputs), output_dir / "student.onnx")


if __name__ == "__main__":
    main()
