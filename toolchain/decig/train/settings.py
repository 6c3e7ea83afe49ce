"""Settings of `decig compress`: their defaults, and the TOML file that changes them."""

import dataclasses
import math
import tomllib
from pathlib import Path
from typing import Any

from decig.errors import BadInputError

_LEAST = {"batch": 1, "zoom": 1, "refresh": 1, "pool": 1, "repair_crops": 1}
"""Of these numbers; of the others it is 0."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """What training does; every key may stand in the file given with --config.

    Attributes:
        seed: of every random choice.
        crop: longest side of the training crops in pixels; 0 takes the model's own input size.
        batch: crops a step; of smaller pictures as many more as cost the same.
        zoom: crops are cut from windows up to this much larger.
        refresh: the teacher paints new crops at every `refresh`-th step.
        pool: batches kept for replay.
        learning_rate: of Adam, after warm-up and before the cosine decay; stage II takes a share
            of it where the sliced graph is near the teacher already.
        warmup: share of a stage in which the learning rate rises.
        precision: of training: auto, bf16 or fp32; see `decig.train.precision`.
        ema: decay of the running mean of the weights, which is what is kept.
        chroma: weight of the colour term of the output loss.
        gradient: weight of the edge term.
        structure: weight of the SSIM term.
        features: weight of the feature loss against the kept channels of the teacher.
        target: weight of L1 to the real targets, with --targets.
        adversarial: weight of the PatchGAN term, with --targets.
        condense: share of the budget that stage I gets; 0 leaves it out. In budgets of minutes
            on a CPU its steps cost more than they give: see benchmarks/README.md.
        condense_from: stage I begins with a graph sliced to this many times the target latency;
            0 takes the full graph.
        weighting: f(j) of stage I: uniform, linear or exponential.
        fold: share of stage II's budget in which norms are folded, with --fold-norms.
        fold_tolerance: SSIM to the teacher that all folding together may cost.
        held_out: images kept from training to measure quality.
        repair_crops: images that scores and repair look at.
    """

    seed: int = 0
    crop: int = 256
    batch: int = 1
    zoom: float = 1.6
    refresh: int = 3
    pool: int = 256
    learning_rate: float = 2e-3
    warmup: float = 0.03
    precision: str = "auto"
    ema: float = 0.999
    chroma: float = 1.0
    gradient: float = 1.0
    structure: float = 0.25
    features: float = 0.0
    target: float = 1.0
    adversarial: float = 0.01
    condense: float = 0.0
    condense_from: float = 2.0
    weighting: str = "linear"
    fold: float = 0.3
    fold_tolerance: float = 0.01
    held_out: int = 8
    repair_crops: int = 32

    @classmethod
    def load(cls, path: Path | None) -> "Settings":
        """Read a TOML file over the defaults.

        Raises:
            BadInputError: the file is unreadable, or a key unknown, of another type or too small.
        """
        if path is None:
            return cls()
        try:
            table = tomllib.loads(Path(path).read_text())
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise BadInputError(f"{path}: cannot read these settings: {error}") from error
        return cls(**{key: _checked(path, key, value) for key, value in table.items()})


def _checked(path: Path, key: str, value: Any) -> Any:
    defaults = {field.name: field.default for field in dataclasses.fields(Settings)}
    if key not in defaults:
        raise BadInputError(f"{path}: unknown setting '{key}'; known: {', '.join(defaults)}")
    wanted = type(defaults[key])
    if wanted is float and type(value) is int:
        value = float(value)
    if type(value) is float and not math.isfinite(value):
        raise BadInputError(f"{path}: setting '{key}' must be finite, not {value}")
    if type(value) is not wanted:
        raise BadInputError(f"{path}: setting '{key}' must be a {wanted.__name__}")
    if isinstance(value, int | float) and value < (least := _LEAST.get(key, 0)):
        raise BadInputError(f"{path}: setting '{key}' must be at least {least}, not {value}")
    return value
