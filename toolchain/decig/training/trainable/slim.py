"""A graph trained instead of a generator's own PyTorch module."""

import onnx
from torch import Tensor, nn
from torch.fx import GraphModule

from decig.graph.model import Model
from decig.training.trainable.module import build_module, write_back


class Slim(nn.Module):
    """Takes one tensor, and returns only the picture."""

    def __init__(self, model: Model, size: tuple[int, int] | None = None) -> None:
        """Build the module.

        Args:
            model: the graph.
            size: height and width at which it will be run, where that is not the declared one.

        Raises:
            BadInputError: a node cannot be trained, or has the declared size baked in.
        """
        super().__init__()
        self.proto = model.proto
        self.graph: nn.Module = build_module(model.proto, None, size)

    def forward(self, x: Tensor) -> Tensor:
        """Paint."""
        picture: Tensor = self.graph(x)[0]
        return picture

    def written(self) -> onnx.ModelProto:
        """Return the graph that it was built from, with its weights as they are now."""
        assert isinstance(self.graph, GraphModule)
        return write_back(self.graph, self.proto)
