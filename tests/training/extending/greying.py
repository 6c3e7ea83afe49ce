"""A task: a generator learns to paint photos in grey.

A recipe names it: `task = "tests.training.extending.greying"` in its table [train].
"""

import torch

from decig.data.images import ImageFolder
from decig.schema import AtLeastOne, Seed, WrittenByHand
from decig.training.nets.averaging import Averaging
from decig.training.pytorch.generator import build_generator
from decig.training.tasks import Group, settings_of


class Settings(WrittenByHand, frozen=True):
    task: str
    steps: AtLeastOne
    seed: Seed = 0


class Greying:
    def __init__(self, recipe, data, processes):
        settings = settings_of(recipe, Settings)
        self.photos = [pixels for _, pixels in ImageFolder(data)]
        self.pixels, self.device = recipe.pixels, processes.device
        self.steps, self.seed = settings.steps, settings.seed
        torch.manual_seed(self.seed)
        self.nets = {"generator": build_generator(recipe.source, recipe.folder)}
        self.groups = {"generator": Group(("generator",), 0.01, (0.9, 0.999))}
        self.averages = {"generator": Averaging(0.5)}
        self.memories = {}

    def batch(self, number):
        photo = self.photos[number % len(self.photos)]
        return torch.from_numpy(self.pixels.to_tensor(photo[None])).to(self.device)

    def forward(self, batch):
        return self.nets["generator"](batch)

    def losses(self, group, batch, shared):
        return {"l1": (shared - batch.mean(1, keepdim=True)).abs().mean()}

    def show(self, nets):
        with torch.no_grad():
            grey = nets["generator"](self.batch(0)).cpu().numpy()
        return {"photo": self.photos[:1], "grey": list(self.pixels.from_tensor(grey))}

    def exports(self, nets):
        return {"generator.onnx": nets["generator"]}


def open_task(recipe, data, processes):
    return Greying(recipe, data, processes)
