"""The losses of [distil] that students learn by beside the output's, one entry each.

To add one, write a file in `decig.training.losses`, enter it here, and give its weight a key of the
same name in `decig.training.tasks.distil.Settings`. A loss whose weight is 0 costs nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from decig.training.losses.feature_matching import feature_matching_loss
from decig.training.losses.features import feature_loss
from decig.training.losses.gram import style_loss
from decig.training.losses.haar import haar_loss
from decig.training.losses.relations import feature_relation_loss, relation_loss

PICTURES: Literal["pictures"] = "pictures"
"""The student's picture and the teacher's, N,C,H,W in 0..1."""
VALUES: Literal["values"] = "values"
"""Sequences of inner values of student and teacher, in the channels that both have."""
JUDGED: Literal["judged"] = "judged"
"""What the layers of the discriminator make of both pictures: sequences, for each scale, of
sequences of N,C,H,W, without the judgements themselves."""


@dataclass(frozen=True)
class Term:
    """A loss, and what it compares.

    Attributes:
        loss: takes the student's side and the teacher's, and returns a number; the teacher's
            carries no gradient.
        compares: what the two sides are: `PICTURES`, `VALUES` or `JUDGED`.
        smallest: least side of the pictures that it can compare, in pixels; discriminators have
            one of their own.
    """

    loss: Callable[[Any, Any], Tensor]
    compares: Literal["pictures", "values", "judged"]
    smallest: int = 1


TERMS = {
    "features": Term(feature_loss, VALUES),
    "feature_relations": Term(feature_relation_loss, VALUES),
    "haar": Term(haar_loss, PICTURES, smallest=2),
    "relations": Term(relation_loss, PICTURES, smallest=2),
    "discriminator_features": Term(feature_matching_loss, JUDGED),
    "discriminator_style": Term(style_loss, JUDGED),
}
"""The losses by the keys of their weights in [distil]."""
