"""What `decig doctor` finds, against the installation that runs the tests and broken ones."""

import dataclasses
from importlib import metadata

import numpy as np
import onnxruntime as ort
import pytest

from decig.device.run.providers import PROVIDERS
from decig.errors import DecigError
from decig.report import installation
from decig.report.installation import Extra, Installation, Package, look_at_installation


@pytest.fixture(scope="module")
def here() -> Installation:
    return look_at_installation()


def test_what_decig_needs_is_read_from_its_own_metadata(here: Installation) -> None:
    names = {package.name for package in here.packages}
    assert {"onnx", "onnxruntime", "numpy", "click"} <= names
    assert not {"torch", "pytest"} & names
    assert all(package.fits for package in here.packages)
    extras = {extra.name: {package.name for package in extra.packages} for extra in here.extras}
    assert "torch" in extras["train"]
    assert "pytest" in extras["dev"]
    assert not extras["train"] & names
    assert here.problems == ()


def test_the_processor_runs_and_computes_right(here: Installation) -> None:
    found = {tried.name: tried for tried in here.providers}
    assert found["cpu"].needed
    assert found["cpu"].fault == ""
    assert here.cores >= here.threads >= 1
    assert here.memory_mib > 0


def test_a_provider_that_computes_wrongly_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Wrong:
        def run(self, *_: object) -> list[np.ndarray]:
            return [np.full((1, 4, 8, 8), 50, np.float32)]

    monkeypatch.setattr(installation.Device, "open", lambda *_: Wrong())
    found = installation._try(PROVIDERS[0])
    assert found.fault.startswith("a convolution comes out wrong by ")


def test_a_provider_that_does_not_start_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise DecigError("CUDAExecutionProvider did not start")

    cuda = next(provider for provider in PROVIDERS if provider.short == "cuda")
    monkeypatch.setattr(ort, "get_available_providers", lambda: [cuda.full])
    monkeypatch.setattr(installation.Device, "open", refuse)
    [found] = look_at_installation().providers
    assert (found.name, found.fault) == ("cuda", "CUDAExecutionProvider did not start")
    assert not found.needed


def test_a_version_must_fit() -> None:
    assert Package("numpy", ">=2.0", "2.4.6").fits
    assert Package("torch", ">=2.9", "2.13.0+cpu").fits
    assert Package("numpy", "", "1.0").fits
    assert not Package("numpy", ">=2.0", "1.26").fits
    assert not Package("numpy", ">=2.0", None).fits


def test_problems_come_with_the_line_that_mends_them(here: Installation) -> None:
    broken = dataclasses.replace(
        here,
        packages=(Package("numpy", ">=2.0", "1.26"), Package("onnx", ">=1.18", None)),
        onnxruntime=("onnxruntime", "onnxruntime-gpu"),
        providers=(installation.Tried("cpu", True, "it fails"),),
    )
    assert broken.problems == (
        "numpy 1.26 does not fit >=2.0: pip install 'numpy>=2.0'",
        "onnx is not installed: pip install 'onnx>=1.18'",
        "onnxruntime and onnxruntime-gpu are installed over each other: pip uninstall -y "
        "onnxruntime onnxruntime-gpu, then install one of them",
        "it fails",
    )


def test_a_missing_extra_comes_with_its_line(here: Installation) -> None:
    packages = (Package("torch", ">=2.9", None), Package("accelerate", ">=1.6", "1.0"))
    lacking = dataclasses.replace(here, extras=(Extra("train", packages),))
    assert lacking.advice == (
        "train: lacks torch, accelerate 1.0 (wanted >=1.6): pip install 'decig[train]'",
    )
    assert lacking.problems == ()
    assert lacking.to_dict()["extras"]["train"]["complete"] is False


def test_without_torch_nothing_is_said_of_its_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "missing", lambda _: "torch")
    assert look_at_installation().torch is None


def test_the_version_is_that_of_the_package(here: Installation) -> None:
    assert here.decig == metadata.version("decig")
