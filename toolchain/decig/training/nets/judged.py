"""What discriminators make of pictures."""

from torch import Tensor

Judged = list[list[Tensor]]
"""For each scale, the values of all layers; the last of them is the judgement itself."""


def verdicts(judged: Judged) -> list[Tensor]:
    """What the last layer says at each scale."""
    return [layers[-1] for layers in judged]


def features_of(judged: Judged) -> Judged:
    """What the layers before the last one show at each scale."""
    return [layers[:-1] for layers in judged]
