"""A task without pictures for tests of the engine: two nets that learn by turns."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from decig.training.loop.schedule import WarmUpThenCosine
from decig.training.nets.averaging import Averaging
from decig.training.tasks import Group


@dataclass
class SimpleTask:
    """A "student" learns from the input and from a "coach", which itself learns to give the input.

    Attributes:
        rank: of the process; batches depend on it.
        ranks: of several processes, whose batches are joined to one.
    """

    rank: int = 0
    ranks: tuple[int, ...] = ()
    rate: float = 0.03
    asked: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        torch.manual_seed(0)
        layers = [nn.Conv2d(3, 4, 3, padding=1), nn.Tanh(), nn.Dropout(0.2), nn.Conv2d(4, 3, 1)]
        self.student, self.coach = nn.Sequential(*layers), nn.Conv2d(3, 3, 1)
        self.nets = {"student": self.student, "coach": self.coach}
        self.groups = {
            "coach": Group(("coach",), 0.02, (0.5, 0.999)),
            "student": Group(("student",), self.rate, (0.9, 0.99), WarmUpThenCosine(0.1)),
        }
        self.averages = {"student": Averaging(0.9)}
        self.memories: dict[str, Any] = {}

    def batch(self, number: int) -> Tensor:
        self.asked.append(number)
        parts = [
            np.random.default_rng([7, number, rank]).normal(size=(2, 3, 8, 8))
            for rank in self.ranks or (self.rank,)
        ]
        return torch.from_numpy(np.concatenate(parts).astype(np.float32))

    def forward(self, batch: Tensor) -> Tensor:
        painted: Tensor = self.student(batch)
        return painted

    def losses(self, group: str, batch: Tensor, shared: Tensor) -> dict[str, Tensor]:
        wanted = self.coach(batch)
        if group == "coach":
            return {"input": (wanted - batch).square().mean()}
        off = shared - batch - 0.1 * wanted.detach()
        return {"squares": off.square().mean(), "edges": 0.1 * off.diff(dim=3).abs().mean()}


def weights(module: nn.Module) -> Tensor:
    """All numbers of a net in one vector."""
    return torch.cat([value.detach().double().ravel() for value in module.state_dict().values()])


def kill_at(step: int) -> Any:
    """A report that ends the program as `kill -9` does after a step: nothing more is saved."""

    def report(news: Any) -> None:
        if news.step == step:
            raise RuntimeError("killed")

    return report
