"""Kinds of number that the settings of several tasks and methods share, with their ranges."""

from typing import Annotated

import msgspec

from decig.schema import Positive

Decay = Annotated[float, msgspec.Meta(ge=0, lt=1)]
"""Share of a running mean that stays at each step; at 1 it would never move."""
LearningRate = Annotated[Positive, msgspec.Meta(le=1)]
"""Of Adam; already at 1 every weight would move by about 1 in every step."""
Zoom = Annotated[float, msgspec.Meta(ge=1)]
"""A factor between the size of a crop and that of the window it is cut from."""
