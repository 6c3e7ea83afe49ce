"""How distances of features were taken: what must be known to compare two such figures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from decig.quality.distributions import Distance, distance
from decig.quality.features import EFFICIENTNET, FeatureKind, FeatureSet


@dataclass(frozen=True)
class Protocol:
    """What the kernel distance (KID) and the Frechet distance of two sets of pictures rest on.

    Attributes:
        pictures: number of pictures that were judged.
        others: number of pictures that they were compared with.
        pairs: how many of both belong to the same input; see
            `decig.quality.distributions.kernel_distance`.
        kind: the features of the pictures.
    """

    pictures: int
    others: int
    pairs: int
    kind: FeatureKind = EFFICIENTNET

    @classmethod
    def of_pairs(cls, pictures: int) -> "Protocol":
        """Return the protocol of two models that painted the same inputs."""
        return cls(pictures, pictures, pictures)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        size = self.kind.size
        found = {
            "pictures": self.pictures,
            "others": self.others,
            "pairs": self.pairs,
            "features": self.kind.features,
            "size": size[0] if size and size[0] == size[1] else size,
            "scaling": self.kind.scaling,
            "subsets": "none, all pictures at once",
        }
        return found | ({"sha256": self.kind.sha256} if self.kind.sha256 else {})

    def __str__(self) -> str:
        """Describe it to people, in a line."""
        paired = f", {self.pairs} in pairs" if self.pairs else ""
        return (
            f"{self.pictures} pictures against {self.others}{paired}, no subsets, "
            f"{self.kind.scaling}, features of {self.kind.network}; {self.kind.comparable}"
        )


@dataclass(frozen=True)
class SetDistance:
    """How far two sets of pictures are from each other, and how that was found.

    Attributes:
        distance: the figures.
        protocol: what they rest on.
    """

    distance: Distance
    protocol: Protocol

    @property
    def figures(self) -> dict[str, float]:
        """The figures by the names that programs read; the Frechet distance of FID is `fid`."""
        frechet = "fid" if self.protocol.kind.fid else "frechet_distance"
        return {
            "kid": self.distance.kid,
            "kid_standard_error": self.distance.kid_standard_error,
            frechet: self.distance.frechet_distance,
        }


def compare_sets(
    found: FeatureSet, wanted: FeatureSet, pairs: Sequence[tuple[int, int]]
) -> SetDistance:
    """Return the distance of two sets of pictures, and how it was taken.

    Args:
        found: of the pictures to judge.
        wanted: of those that they should be like, by the same network.
        pairs: places in both of pictures that belong to the same input, each place at most once.
    """
    taken = Protocol(len(found), len(wanted), len(pairs), found.kind)
    return SetDistance(distance(found.array(), wanted.array(), pairs), taken)
