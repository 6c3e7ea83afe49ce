"""Features of pictures by a network that the user gives: FID, where it is the one of FID."""

import hashlib
from pathlib import Path

import numpy as np

from decig.deploy.judges.network_file import NetworkFile, as_bytes, grey, open_network
from decig.errors import BadInputError
from decig.quality.features import FeatureKind

FID_SHA256 = "f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4"
"""Digest of `inception-2015-12-05.pt`: the network of M. Heusel et al., "GANs Trained by a Two
Time-Scale Update Rule" (NeurIPS 2017), as NVIDIA translated it into TorchScript for StyleGAN2-ADA
and StyleGAN3. It scales pictures to 299x299 itself, as the original does."""
_RAW = "return_features"
"""Asks that network for its 2,048 features instead of the answer that it makes of them."""


class FileFeatures:
    """Features of whole pictures by a network from a file.

    Attributes:
        kind: which features they are.
    """

    def __init__(self, path: Path, size: tuple[int, int]) -> None:
        """Open the network and try it.

        Args:
            path: of the file.
            size: height and width of the pictures to judge.

        Raises:
            BadInputError: the file is no network that gives features of a picture; says why.
        """
        self._network = open_network(path, "--inception")
        if self._network.pictures != 1:
            raise BadInputError(
                f"{path}: takes {self._network.pictures} pictures; a network of features takes one"
            )
        self._options = {_RAW: True} if _RAW in self._network.options else {}
        count = len(self._run(grey(self._network.size or size)))
        self.kind = _kind(self._network, count, digest(path))

    def _run(self, picture: np.ndarray) -> np.ndarray:
        found = self._network(picture, **self._options)
        if found.ndim < 2 or found.shape[0] != 1 or found.size != found.shape[1] or found.size < 2:
            shown = "x".join(map(str, found.shape))
            raise BadInputError(
                f"{self._network.path}: gives {shown} for a picture; features are 1xN (or 1xNx1x1)"
            )
        return found.reshape(-1).astype(np.float32)

    def whole(self, picture: np.ndarray) -> np.ndarray:
        """Return the features of a picture, float32 `kind.count`.

        Args:
            picture: float H,W,3 RGB between 0 and 1, which is rounded to bytes first; where values
                are no numbers, no feature is one.
        """
        if not np.isfinite(picture).all():
            return np.full(self.kind.count, np.nan, np.float32)
        return self._run(as_bytes(picture, self._network.size))


def digest(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _kind(network: NetworkFile, count: int, sha256: str) -> FeatureKind:
    fid, name = sha256 == FID_SHA256, network.path.name
    scaling = "rounded to bytes at the size of the model, scaled by the network"
    if network.size is not None:
        scaling = f"scaled to {network.size[0]}x{network.size[1]} and rounded to bytes"
    if fid:
        comparable = (
            "to be compared with other FID and KID by this network (StyleGAN2-ADA, StyleGAN3); FID "
            "only for equal numbers of pictures"
        )
    else:
        comparable = (
            "to be compared with figures by the same file only, and Frechet distances for equal "
            "numbers of pictures only"
        )
    return FeatureKind(
        network=f"{name} (Inception of FID)" if fid else name,
        features=f"{name}, {count} outputs",
        count=count,
        size=network.size,
        scaling=scaling,
        comparable=comparable,
        sha256=sha256,
        fid=fid,
    )
