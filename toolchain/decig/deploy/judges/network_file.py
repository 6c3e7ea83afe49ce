"""A network that judges pictures, from a file: ONNX, or TorchScript.

Whatever it is for, it takes RGB pictures 1,3,H,W with the values 0 to 255: a scale and an offset
of its own belong into the file. A network of one size gets pictures that are scaled to it.
"""

import warnings
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from decig.device.run.device import Device
from decig.device.run.runs import run_session
from decig.errors import BadInputError, first_line
from decig.extras import require
from decig.quality.features import scaled

_TYPES: Mapping[str, Any] = {
    "tensor(uint8)": np.uint8,
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
}
"""What an ONNX network may take."""
GREY = 128


class NetworkFile(Protocol):
    """An opened file.

    Attributes:
        path: of the file.
        size: height and width that the network takes; None where it takes any.
        pictures: how many pictures it takes in a call.
        options: what else its caller may ask of it, by name.
    """

    @property
    def path(self) -> Path:
        """Path of the file."""
        ...

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width that the network takes; None where it takes any."""
        ...

    @property
    def pictures(self) -> int:
        """How many pictures it takes in a call."""
        ...

    @property
    def options(self) -> frozenset[str]:
        """What else its caller may ask of it, by name."""
        ...

    def __call__(self, *pictures: np.ndarray, **options: bool) -> np.ndarray:
        """Run it on pictures 1,3,H,W of the values 0 to 255; returns what it gives.

        Raises:
            BadInputError: it cannot be run on them, or gives several tensors.
        """
        ...


def open_network(path: Path, what: str) -> NetworkFile:
    """Open a file.

    Args:
        path: of the file; an ONNX file ends in .onnx.
        what: the option that names it.

    Raises:
        BadInputError: it holds no network that runs, or one that takes no pictures, or it is
            TorchScript and PyTorch is not installed.
    """
    if path.suffix.lower() == ".onnx":
        return _OnnxFile(path)
    require(f"{what} {path}, which is no .onnx file,", "quality", ("torch",))
    return _TorchScriptFile(path)


def as_bytes(picture: np.ndarray, size: tuple[int, int] | None) -> np.ndarray:
    """Turn a picture float H,W,3 between 0 and 1 into what a network takes, uint8 1,3,H,W."""
    if size is not None and picture.shape[:2] != size:
        picture = scaled(picture, *size)
    rounded = np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    return np.ascontiguousarray(rounded.transpose(2, 0, 1))[None]


def grey(size: tuple[int, int]) -> np.ndarray:
    """A picture to try a network on, uint8 1,3,H,W."""
    return np.full((1, 3, *size), GREY, np.uint8)


class _OnnxFile:
    """A network that ONNX Runtime runs on the processor."""

    options: frozenset[str] = frozenset()

    def __init__(self, path: Path) -> None:
        self.path = path
        self._session = Device.for_work().open(path)
        inputs = self._session.get_inputs()
        outputs = self._session.get_outputs()
        if len(outputs) != 1:
            raise BadInputError(f"{path}: gives {len(outputs)} outputs; one is wanted")
        sizes = set()
        for each in inputs:
            batch, channels, *size = each.shape if len(each.shape) == 4 else (0, 0)
            fits = channels == 3 and (batch == 1 or not isinstance(batch, int))
            if each.type not in _TYPES or not fits:
                raise BadInputError(
                    f"{path}: input {each.name} is {each.type} {each.shape}; wanted are pictures "
                    "[1, 3, H, W], uint8 or float"
                )
            sizes.add(tuple(side if isinstance(side, int) else None for side in size))
        self._inputs = [(each.name, _TYPES[each.type]) for each in inputs]
        self.pictures = len(self._inputs)
        self.size = self._one_size(sizes)

    def _one_size(self, sizes: set[tuple[int | None, ...]]) -> tuple[int, int] | None:
        """The size that all inputs take; None for any size."""
        found = sizes.pop() if len(sizes) == 1 else (0, None)
        height, width = found
        if height is None and width is None:
            return None
        if not height or not width:
            raise BadInputError(f"{self.path}: its inputs are neither of one size nor of any size")
        return height, width

    def __call__(self, *pictures: np.ndarray, **_: bool) -> np.ndarray:
        pairs = zip(self._inputs, pictures, strict=True)
        feeds = {name: picture.astype(kind) for (name, kind), picture in pairs}
        try:
            return run_session(self._session, feeds)[0]
        except BadInputError as error:
            raise BadInputError(f"{self.path}: {error}") from error


class _TorchScriptFile:
    """A network that PyTorch runs on the processor; options are parameters of its `forward`."""

    size = None

    def __init__(self, path: Path) -> None:
        self.path = path
        # By name: only decig.training imports torch.
        self._torch: Any = import_module("torch")
        try:
            with warnings.catch_warnings():
                # PyTorch discourages new TorchScript; the networks of FID are old ones.
                warnings.simplefilter("ignore", DeprecationWarning)
                self._net: Any = self._torch.jit.load(str(path), map_location="cpu").eval()
        except Exception as error:  # PyTorch says what is wrong in a RuntimeError or a ValueError
            raise BadInputError(
                f"{path}: neither ONNX nor TorchScript, as NVIDIA's inception-2015-12-05.pt and "
                f"vgg16.pt are; a file of weights alone does not say what they belong to"
            ) from error
        takes = self._net.forward.schema.arguments[1:]  # without self
        self.pictures = sum(not each.has_default_value() for each in takes)
        self.options = frozenset(each.name for each in takes if each.has_default_value())

    def __call__(self, *pictures: np.ndarray, **options: bool) -> np.ndarray:
        tensors = [self._torch.from_numpy(picture) for picture in pictures]
        try:
            with self._torch.inference_mode():
                found = self._net(*tensors, **options)
        except RuntimeError as error:
            sizes = ", ".join("x".join(map(str, each.shape)) for each in pictures)
            reason = str(error).strip().splitlines()[-1] if str(error).strip() else ""
            raise BadInputError(
                f"{self.path}: cannot run on {sizes}: {reason or first_line(error)}"
            ) from error
        if not isinstance(found, self._torch.Tensor):
            raise BadInputError(f"{self.path}: gives a {type(found).__name__}; a tensor is wanted")
        array: np.ndarray = (found.float() if found.is_floating_point() else found).numpy()
        return array
