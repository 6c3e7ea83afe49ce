"""All networks that judge the pictures of a check."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from decig.data.labels import Labels
from decig.deploy.judges.features import FileFeatures
from decig.deploy.judges.lpips import Lpips
from decig.deploy.judges.segmenter import Segmenter
from decig.quality.features import FeatureNetwork, Features, lacking

OWN, GIVEN = "efficientnet", "inception"
"""Names of the features that decig brings, and of those by the file that the user gives."""


@dataclass(frozen=True)
class Files:
    """Files with networks that the user gives; None leaves out what needs one.

    Attributes:
        inception: gives features of pictures, for FID.
        lpips: gives the distance of two pictures.
        segmenter: finds labels in pictures.
    """

    inception: Path | None = None
    lpips: Path | None = None
    segmenter: Path | None = None


@dataclass(frozen=True)
class Panel:
    """Networks, ready to judge.

    Attributes:
        features: of pictures as a whole, by name: `OWN`, `GIVEN`.
        lpips: distance of two pictures, or None.
        segmenter: finds labels in pictures, or None.
    """

    features: Mapping[str, Features] = field(default_factory=dict)
    lpips: Lpips | None = None
    segmenter: Segmenter | None = None

    @classmethod
    def open(cls, files: Files, size: tuple[int, int], labels: Labels | None) -> "Panel":
        """Open the network that decig brings, where it is installed, and those of the user.

        Args:
            files: of the user's networks.
            size: height and width of the pictures to judge.
            labels: what the label maps look like that models are fed; None where they take none.

        Raises:
            BadInputError: a file holds no network for what it was given for; says why.
        """
        segmenter = files.segmenter and Segmenter(files.segmenter, labels, size)
        lpips = files.lpips and Lpips(files.lpips, size)
        features: dict[str, Features] = {}
        if not lacking():
            features[OWN] = FeatureNetwork()
        if files.inception is not None:
            features[GIVEN] = FileFeatures(files.inception, size)
        return cls(features, lpips or None, segmenter or None)
