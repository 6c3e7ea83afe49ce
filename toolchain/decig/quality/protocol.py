"""How distances of features were taken: what must be known to compare two such figures."""

from collections.abc import Sequence
from dataclasses import dataclass

from decig.quality.distributions import Distance, distance
from decig.quality.features import COUNT, NAME, SIZE, FeatureSet


@dataclass(frozen=True)
class Protocol:
    """What the kernel distance (KID) and the Frechet distance of two sets of pictures rest on.

    Attributes:
        pictures: number of pictures that were judged.
        others: number of pictures that they were compared with.
        pairs: how many of both belong to the same input; see
            `decig.quality.distributions.kernel_distance`.
        features: the network, and how many features of a picture it gives.
        size: height and width in pixels to which each picture was scaled for it.
        subsets: the random subsets over which means were taken.
    """

    pictures: int
    others: int
    pairs: int
    features: str = f"{NAME}, {COUNT} means over all positions"
    size: int = SIZE
    subsets: str = "none, all pictures at once"

    @classmethod
    def of_pairs(cls, pictures: int) -> "Protocol":
        """Return the protocol of two models that painted the same inputs."""
        return cls(pictures, pictures, pictures)

    def __str__(self) -> str:
        """Describe it to people, in a line."""
        paired = f", {self.pairs} in pairs" if self.pairs else ""
        return (
            f"{self.pictures} pictures against {self.others}{paired}, no subsets, scaled to "
            f"{self.size}x{self.size}, features of {NAME} trained on ImageNet; not to be compared "
            "with KID and FID on Inception features, nor Frechet distances of other numbers of "
            "pictures"
        )


def compare_sets(
    found: FeatureSet, wanted: FeatureSet, pairs: Sequence[tuple[int, int]]
) -> tuple[Distance, Protocol]:
    """Return the distance of two sets of pictures, and how it was taken.

    Args:
        found: of the pictures to judge.
        wanted: of those that they should be like.
        pairs: places in both of pictures that belong to the same input, each place at most once.
    """
    taken = Protocol(len(found), len(wanted), len(pairs))
    return distance(found.array(), wanted.array(), pairs), taken
