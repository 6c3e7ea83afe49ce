"""The model that is compressed: what its students learn from."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from torch.fx import GraphModule

from decig.data.declared import Declared
from decig.data.pixels import PixelFormat
from decig.data.ports import output_image
from decig.graph.channels import ChannelMap, analyse
from decig.graph.model import Model
from decig.training.trainable.module import build_module


@dataclass(frozen=True)
class Teacher:
    """The model that is compressed.

    Attributes:
        model: its graph in normal form.
        pixels: its pixel format.
        feeds: how inputs beside the image are fed.
    """

    model: Model
    pixels: PixelFormat
    feeds: Declared = field(default_factory=dict)

    @cached_property
    def channels(self) -> ChannelMap:
        """Its channel groups."""
        return analyse(self.model.proto)

    @cached_property
    def picture(self) -> str:
        """Name of the output that is the picture."""
        return output_image(self.model.proto, self.pixels).name

    def module(self, size: tuple[int, int] | None, values: list[str] | None = None) -> GraphModule:
        """Build it as a module for evaluation.

        Args:
            size: height and width of what it will be fed; None for the declared ones.
            values: names of what it returns, inner values too; the picture if None.

        Raises:
            BadInputError: it cannot be run as a module at this size; names the node.
        """
        return build_module(self.model.proto, values or [self.picture], size).eval()

    def record(self) -> Mapping[str, Any]:
        """Return what the file of a run says of it, as plain JSON values."""
        return {
            "model": {"path": str(self.model.path), "sha256": self.model.sha256},
            "pixels": json.loads(json.dumps(dataclasses.asdict(self.pixels))),
            "feeds": dict(self.feeds),
        }
