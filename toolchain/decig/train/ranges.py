"""Kinds of number that the settings of several tasks and methods share, with their ranges."""

from typing import Annotated

import msgspec

Seed = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""What everything random follows from; PyTorch and numpy both take these."""
LearningRate = Annotated[float, msgspec.Meta(gt=0, le=1)]
"""Of Adam; already at 1 every weight would move by about 1 in every step."""
Zoom = Annotated[float, msgspec.Meta(ge=1)]
"""A factor between the size of a crop and that of the window it is cut from."""
