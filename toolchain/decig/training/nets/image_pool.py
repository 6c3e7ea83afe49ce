"""A pool of painted pictures: discriminators are shown earlier pictures, too, not the newest only.

A. Shrivastava et al., "Learning from Simulated and Unsupervised Images through Adversarial
Training" (CVPR 2017), section 2.3; CycleGAN keeps 50 pictures (Zhu et al., ICCV 2017, section 4).
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor


class ImagePool:
    """At most `size` pictures, which are exchanged for newer ones at random."""

    def __init__(self, size: int) -> None:
        """Begin with an empty pool; one of size 0 gives every picture back."""
        self._size = size
        self._pictures: list[Tensor] = []

    def __len__(self) -> int:
        """Return the number of pictures in the pool."""
        return len(self._pictures)

    def exchange(self, pictures: Tensor, rng: np.random.Generator) -> Tensor:
        """Put pictures in and take as many out.

        While the pool is not full, a picture is stored and returned. Afterwards, half the time a
        random picture of the pool is returned and the new one takes its place; the other half,
        the new one is returned and not stored. Pictures of another size empty the pool.

        Args:
            pictures: N,C,H,W; what is stored carries no gradient.
            rng: makes every choice.

        Returns:
            N,C,H,W without gradients.
        """
        given = []
        for picture in pictures.detach():
            if self._pictures and self._pictures[0].shape != picture.shape:
                self._pictures.clear()
            if len(self._pictures) < self._size:
                self._pictures.append(picture.clone())
                given.append(picture)
            elif self._size and rng.random() < 0.5:
                place = int(rng.integers(self._size))
                given.append(self._pictures[place])
                self._pictures[place] = picture.clone()
            else:
                given.append(picture)
        return torch.stack([picture.to(pictures.device) for picture in given])

    def state_dict(self) -> dict[str, Any]:
        """Return the pictures, for `load_state_dict` of a resumed run."""
        return {"pictures": [picture.cpu() for picture in self._pictures]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with the pictures of `state_dict`."""
        self._pictures = list(state["pictures"])
