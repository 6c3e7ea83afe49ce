"""What a file of settings says of the training of students, whatever their method."""

from decig.schema import AtLeastOne, Seed, Share, WrittenByHand
from decig.training.loop.precision import Name as PrecisionName
from decig.training.ranges import Decay, LearningRate


class Settings(WrittenByHand, frozen=True):
    """The table [train] of a file of settings: how students of any method are trained.

    Attributes:
        seed: of every random choice.
        learning_rate: of Adam, after the warm-up and before it falls; a student that is near its
            teacher when it begins takes a share of it.
        warmup: share of a stretch of training in which the learning rate rises.
        precision: "fp32", "bf16" (products in bfloat16), or "auto": bf16 where that is native.
        ema: share of the running mean of the weights that stays at each step; the mean is what
            is kept.
        accumulate: batches whose gradients are averaged for one update.
        patience: share of the budget in which a student's pictures must become more like its
            teacher's, or training ends early; it counts in the second half of the budget only. At
            0, and where real pictures are given (as likeness to the teacher is not all that counts
            there), training always takes the whole budget: it does not end either where pictures
            cannot be told from the teacher's. See `decig.training.loop.patience`.
    """

    seed: Seed = 0
    learning_rate: LearningRate = 2e-3
    warmup: Share = 0.03
    precision: PrecisionName = "auto"
    ema: Decay = 0.999
    accumulate: AtLeastOne = 1
    patience: Share = 0.25
