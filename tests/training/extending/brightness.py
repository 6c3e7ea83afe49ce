"""A loss: the student's picture shall be as bright as the teacher's.

L = |mean of the student's picture - mean of the teacher's|
"""

from torch import Tensor

from decig.training.compression.terms import PICTURES, Term


def brightness_loss(picture: Tensor, target: Tensor) -> Tensor:
    """Compare the brightness of pictures N,C,H,W."""
    return (picture.mean((1, 2, 3)) - target.mean((1, 2, 3))).abs().mean()


TERM = Term(brightness_loss, PICTURES)
