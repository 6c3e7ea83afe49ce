"""The state of a run that trains an original generator, and the steps that change it.

L1 and PatchGAN with a running mean of the weights; `decig.train.original` says after whom.
"""

import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from decig.data.crops import fit, random_crop
from decig.data.pairs import Pair
from decig.data.sheet import write_sheet
from decig.errors import BadInputError, DecigError, first_line
from decig.source.recipe import Recipe, Source, Stage, Training
from decig.train.losses.adversarial import discriminator_loss, generator_loss
from decig.train.nets.averaging import follow
from decig.train.nets.patch_gan import PatchDiscriminator, initialise
from decig.train.precision import make_accelerator
from decig.train.pytorch.exporter import export_onnx
from decig.train.pytorch.generator import build_generator, check_pictures
from decig.train.state import write_state

_ADAM_BETAS = (0.5, 0.999)


@dataclass
class OriginalRun:
    """The state of a run, and the steps that change it."""

    recipe: Recipe
    training: Training
    folder: Path
    accelerator: Accelerator
    generator: nn.Module
    mean: nn.Module
    discriminator: nn.Module
    optimisers: dict[str, torch.optim.Optimizer]
    step: int = 0

    @classmethod
    def start(cls, recipe: Recipe, training: Training, folder: Path, resume: bool) -> "OriginalRun":
        """Begin with fresh weights, or where the run in `folder` stood."""
        accelerator = make_accelerator("fp32")  # autocasts by itself, see `_autocast`
        torch.manual_seed(training.seed)
        generator = build_generator(_source(recipe), recipe.folder)
        channels = recipe.input_shape[1]
        sizes = [(stage.crop, stage.crop) for stage in training.stages]
        for size in (tuple(recipe.input_shape[2:]), *sizes):
            # On a copy, for a run in training mode moves running statistics.
            check_pictures(copy.deepcopy(generator), [1, channels, *size])
        discriminator = PatchDiscriminator(channels + 3, training.discriminator_width)
        for net in (generator, discriminator):
            initialise(net)
            net.to(accelerator.device)
        optimisers: dict[str, torch.optim.Optimizer] = {
            name: torch.optim.Adam(net.parameters(), training.learning_rate, betas=_ADAM_BETAS)
            for name, net in (("generator", generator), ("discriminator", discriminator))
        }
        mean = copy.deepcopy(generator).requires_grad_(False).eval()
        nets = (generator, mean, discriminator)
        run = cls(recipe, training, folder, accelerator, *nets, optimisers)
        if resume:
            run._load()
        elif run.state_file.exists():
            raise BadInputError(f"{folder}: holds a run already; go on with --resume")
        return run

    @property
    def state_file(self) -> Path:
        """All that is needed to go on."""
        return self.folder / "state.pt"

    @property
    def last_step(self) -> int:
        """Updates of all stages together."""
        return sum(stage.steps for stage in self.training.stages)

    def batch(self, examples: list[Pair], stage: Stage) -> tuple[Tensor, Tensor]:
        """Cut the crops of this step; they depend on seed, step and process only.

        Returns:
            Input and target, N,C,crop,crop in the ranges of the model's input and output.
        """
        training, pixels = self.training, self.recipe.pixels
        rng = np.random.default_rng([training.seed, self.step, self.accelerator.process_index])
        filters = (pixels.resample, "smooth")
        crops = []
        for index in rng.integers(len(examples), size=stage.batch):
            pair = (examples[index].input, examples[index].target)
            crops.append(random_crop(pair, stage.crop, rng, zoom=training.zoom, filters=filters))
        sources, targets = (np.stack(images) for images in zip(*crops, strict=True))
        wanted = replace(pixels, input_range=pixels.output_range, labels=None)
        device = self.accelerator.device
        return (
            torch.from_numpy(pixels.to_tensor(sources, self.recipe.input_shape[1])).to(device),
            torch.from_numpy(wanted.to_tensor(targets)).to(device),
        )

    def update(self, batch: tuple[Tensor, Tensor]) -> dict[str, float]:
        """Train both nets on one batch; returns the losses."""
        source, real = batch
        self._set_learning_rate()
        self._seed_dropout()
        with self._autocast():
            fake = self.generator(source)
        losses = {}
        if self.training.adversarial:
            with self._autocast():
                loss = discriminator_loss(self.discriminator, source, fake, real)
            losses["discriminator"] = self._descend("discriminator", loss)
        difference = (fake.float() - real).abs().mean()
        losses["l1"] = difference.item()
        loss = self.training.l1 * difference
        if self.training.adversarial:
            with self._autocast():
                fooled = generator_loss(self.discriminator, source, fake)
            losses["adversarial"] = fooled.item()
            loss = loss + self.training.adversarial * fooled
        losses["generator"] = self._descend("generator", loss)
        self.step += 1
        follow(self.mean, self.generator, decay=self.training.ema, step=self.step)
        return losses

    def _autocast(self) -> torch.autocast:
        enabled = self.training.precision == "bf16"
        return torch.autocast(self.accelerator.device.type, torch.bfloat16, enabled=enabled)

    def _seed_dropout(self) -> None:
        """Let dropout, too, depend on seed, step and process only."""
        key = [self.training.seed, self.step, self.accelerator.process_index]
        torch.manual_seed(int(np.random.SeedSequence(key).generate_state(1)[0]))

    def _set_learning_rate(self) -> None:
        """Hold the rate for the first half, then let it fall to zero in a straight line."""
        share = min(1.0, 2.0 * (1.0 - self.step / self.last_step))
        for optimiser in self.optimisers.values():
            for group in optimiser.param_groups:
                group["lr"] = self.training.learning_rate * share

    def _descend(self, name: str, loss: Tensor) -> float:
        """Take one optimiser step, unless the loss is no number any more."""
        value = loss.item()
        if not np.isfinite(value):
            raise DecigError(
                f"{self.folder}: the {name}'s loss became {value} at step {self.step}; the last "
                f"good state is kept in {self.state_file.name}. Lower train.learning_rate"
            )
        optimiser = self.optimisers[name]
        optimiser.zero_grad()
        self.accelerator.backward(loss)
        if self.accelerator.num_processes > 1:
            for part in (p for group in optimiser.param_groups for p in group["params"]):
                part.grad = self.accelerator.reduce(part.grad, "mean")
        optimiser.step()
        return value

    def save(self) -> None:
        """Write the whole state atomically, from the main process only."""
        if not self.accelerator.is_main_process:
            return
        write_state(self.state_file, self._state())

    def _state(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "generator": self.generator.state_dict(),
            "mean": self.mean.state_dict(),
            "discriminator": self.discriminator.state_dict(),
            "optimisers": {name: part.state_dict() for name, part in self.optimisers.items()},
        }

    def _load(self) -> None:
        if not self.state_file.is_file():
            raise BadInputError(f"{self.state_file}: no run to resume there")
        try:
            state = torch.load(self.state_file, weights_only=True)
            self.generator.load_state_dict(state["generator"])
            self.mean.load_state_dict(state["mean"])
            self.discriminator.load_state_dict(state["discriminator"])
            for name, optimiser in self.optimisers.items():
                optimiser.load_state_dict(state["optimisers"][name])
            self.step = state["step"]
        except Exception as error:
            raise BadInputError(
                f"{self.state_file}: not the state of a run of this recipe: {first_line(error)}"
            ) from error

    def show(self, pairs: list[Pair]) -> Path:
        """Write the mean weights as ONNX and what they make of held-out examples as a sheet.

        Returns:
            The path of the ONNX file, which only the main process writes.
        """
        path = self.folder / "generator.onnx"
        if self.accelerator.is_main_process:
            self._write_sheet(pairs)
            export_onnx(copy.deepcopy(self.mean).cpu(), self.recipe.input_shapes, path)
        return path

    def _write_sheet(self, pairs: list[Pair]) -> None:
        _, channels, height, width = self.recipe.input_shape
        pixels = self.recipe.pixels
        sources = np.stack([fit(pair.input, height, width, resample="nearest") for pair in pairs])
        tensor = torch.from_numpy(pixels.to_tensor(sources, channels))
        with torch.no_grad():
            outputs = self.mean(tensor.to(self.accelerator.device)).cpu().numpy()
        columns = {
            "input": list(sources),
            "output": list(pixels.from_tensor(outputs)),
            "real": [fit(pair.target, height, width) for pair in pairs],
        }
        write_sheet(columns, self.folder / "samples" / f"step-{self.step:06d}.png")


def _source(recipe: Recipe) -> Source:
    if recipe.source is None:
        raise BadInputError(f"{recipe.folder}/recipe.toml: has no [source] table to train from")
    return recipe.source
