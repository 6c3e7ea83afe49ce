"""The public names of the package and their parameters: programs are written against them."""

import inspect
import subprocess
import sys

import pytest

import decig

SIGNATURES = {
    "load": "model input_range output_range layout channel_order one_hot palette image picture "
    "feeds input_shapes weights batch_statistics fixed_size",
    "profile": "model device effort progress",
    "train": "recipe output_dir data direction table force target_latency_ms target_speedup "
    "target_macs method sample_every_s tensorboard resume said",
    "slice": "model output keep plan target_latency_ms align table force repair draws verify "
    "progress",
    "check": "candidate reference data targets device max_latency_ms min_speedup min_ssim "
    "min_psnr_db max_kid max_fid max_lpips min_iou max_unreadable inception lpips segmenter grid "
    "roofline strict confidence timing_s",
    "compress": "model output_dir data targets unpaired discriminator table force "
    "target_latency_ms target_speedup target_macs method config budget_s steps fold_norms "
    "tensorboard dry_run resume "
    "locked accept said progress",
    "export": "model output device precision calibration min_ssim min_psnr_db pixel_io opset",
}
"""Parameters of each function, in order: programs are written against them."""


def test_the_public_names_are_these():
    functions = {name for name in decig.__all__ if inspect.isfunction(getattr(decig, name))}
    assert functions == SIGNATURES.keys()
    assert set(decig.__all__) - functions == {
        "BadInputError",
        "DecigError",
        "Device",
        "TargetMissedError",
    }


@pytest.mark.parametrize("name", SIGNATURES)
def test_signatures_are_pinned(name):
    function = getattr(decig, name)
    parameters = inspect.signature(function).parameters
    assert list(parameters) == SIGNATURES[name].split()
    positional = [p for p in parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert all(p.default is p.empty for p in positional)  # what may be left out is named
    assert "Raises:" in function.__doc__


def test_importing_the_package_imports_nothing_heavy():
    program = "import sys, decig; print(sorted({'numpy', 'onnx', 'torch'} & sys.modules.keys()))"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert found.stdout.strip() == "[]", found.stderr


def test_what_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'decig' has no attribute 'nothing'"):
        _ = decig.nothing
