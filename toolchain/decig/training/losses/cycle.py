"""What ties two generators together that translate both ways: the cycle and the identity.

J. Zhu et al., "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks"
(ICCV 2017), equation 2 and section 5.2 ("Photo generation from paintings"):

    L_cyc      = mean |F(G(a)) - a| + mean |G(F(b)) - b|
    L_identity = mean |G(b) - b| + mean |F(a) - a|

Each function is one of the two terms of a sum.
"""

from torch import Tensor
from torch.nn.functional import l1_loss


def cycle_loss(returned: Tensor, picture: Tensor) -> Tensor:
    """How far a picture, translated there and back, is from itself."""
    return l1_loss(returned.float(), picture)


def identity_loss(translated: Tensor, picture: Tensor) -> Tensor:
    """How far a picture that belongs to the target domain already is changed by translation."""
    return l1_loss(translated.float(), picture)
