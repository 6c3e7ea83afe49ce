"""Random changes to what a discriminator is shown, so that it cannot learn few pictures by heart.

S. Zhao, Z. Liu, J. Lin, J. Zhu, S. Han, "Differentiable Augmentation for Data-Efficient GAN
Training" (NeurIPS 2020), section 3.3: real and generated pictures are changed alike, for both nets,
and the generator's gradient runs through the change. Both get the same change here, where the
paper's code draws for each. The input that a picture is judged with is moved and cut with it. For
pixels from -1 to 1, amounts are those of the paper's public code.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Kind = Literal["colour", "translation", "cutout"]

_BRIGHTNESS = 0.25
"""Most that is added to all of a picture, as a share of the range of pixels."""
_CONTRAST = 0.5
"""How far the factor may be from 1 by which a picture's distance from its mean grows."""
_SHIFT = 1 / 8
"""Most that a picture is moved, as a share of its side; 0 fills what is left free, and holes."""
_HOLE = 1 / 2
"""Side of the square that is cut out, as a share of the picture's."""


class Augmentation:
    """Changes of some kinds, the same for all pictures of one input."""

    def __init__(self, kinds: Sequence[Kind], span: float) -> None:
        """Prepare.

        Args:
            kinds: which changes; none leaves everything as it is.
            span: from the darkest to the brightest value of a picture.
        """
        self._kinds, self._span = frozenset(kinds), span

    def __call__(
        self, source: Tensor, pictures: Sequence[Tensor], seed: int
    ) -> tuple[Tensor, list[Tensor]]:
        """Change inputs and pictures.

        Args:
            source: what the pictures were made of, N,C,H,W.
            pictures: several for each input, all N,3,H,W.
            seed: of all that is random.

        Returns:
            Inputs and pictures, in the same order.
        """
        changed, count = list(pictures), len(source)
        draw = torch.Generator().manual_seed(seed)
        amounts = torch.rand(3, count, 1, 1, 1, generator=draw).to(source.device)
        holes, moves = torch.rand(2, count, 2, generator=draw).tolist()
        if "colour" in self._kinds:
            changed = [self._recoloured(picture, *amounts) for picture in changed]
        if "translation" in self._kinds:
            source, *changed = (_moved(images, moves) for images in (source, *changed))
        if "cutout" in self._kinds:
            source, *changed = (_cut_out(images, holes) for images in (source, *changed))
        return source, changed

    def _recoloured(
        self, picture: Tensor, brightness: Tensor, saturation: Tensor, contrast: Tensor
    ) -> Tensor:
        """Change a picture's colours by amounts in 0..1, [N,1,1,1]."""
        picture = picture + (2 * brightness - 1) * _BRIGHTNESS * self._span
        grey = picture.mean(dim=1, keepdim=True)
        picture = grey + (picture - grey) * 2 * saturation
        mean = picture.mean(dim=(1, 2, 3), keepdim=True)
        return mean + (picture - mean) * (1 + _CONTRAST * (2 * contrast - 1))


def _cut_out(images: Tensor, places: Sequence[Sequence[float]]) -> Tensor:
    """Set a square of every image to 0, its centre anywhere; `places` are in 0..1."""
    kept = torch.ones_like(images[:, :1])
    for mask, place in zip(kept, places, strict=True):
        rows, columns = (
            slice(max(0, round(side * (share - _HOLE / 2))), round(side * (share + _HOLE / 2)))
            for share, side in zip(place, mask.shape[-2:], strict=True)
        )
        mask[:, rows, columns] = 0
    return images * kept


def _moved(images: Tensor, places: Sequence[Sequence[float]]) -> Tensor:
    """Move every image by up to `_SHIFT` of its side either way; `places` are in 0..1."""
    moved = []
    for image, place in zip(images, places, strict=True):
        sides = image.shape[-2:]
        most = [round(_SHIFT * side) for side in sides]
        down, right = (round((2 * share - 1) * far) for share, far in zip(place, most, strict=True))
        wide = functional.pad(image, (most[1], most[1], most[0], most[0]))
        top, left = most[0] - down, most[1] - right
        moved.append(wide[..., top : top + sides[0], left : left + sides[1]])
    return torch.stack(moved)
