"""A trained discriminator from a file, such as latest_net_D.pth of pix2pix, CycleGAN or SPADE."""

import copy
import hashlib
from pathlib import Path

import safetensors.torch

from decig.errors import BadInputError
from decig.files import write_bytes
from decig.training.nets.recognise import DISCRIMINATORS, Discriminator, discriminator_in
from decig.training.pytorch.checkpoint import Checkpoint
from decig.training.pytorch.reparametrise import State, plain_shapes, resolve_module
from decig.training.pytorch.weights import load_weights


def load_discriminator(file: Path) -> Discriminator:
    """Make the discriminator whose weights a file holds, in their size.

    Args:
        file: as for `Checkpoint.read`.

    Returns:
        The discriminator, in evaluation mode.

    Raises:
        BadInputError: the file cannot be read, or holds no discriminator that decig knows, or
            several.
    """
    checkpoint = Checkpoint.read(file)
    states = [state for kind in DISCRIMINATORS for _, state in checkpoint.parts(kind(channels=6))]
    found = [net for state in states if (net := _sized(state)) is not None]
    if not found:
        known = "; ".join(kind.TITLE for kind in DISCRIMINATORS)
        raise BadInputError(f"{checkpoint.path}: holds no discriminator of a known kind: {known}")
    load_weights(found[0], checkpoint, "the discriminator")
    return found[0]


def save_discriminator(net: Discriminator, file: Path) -> None:
    """Write a discriminator, with plain weights, so that `load_discriminator` reads it.

    Raises:
        DecigError: the file cannot be written.
    """
    plain = copy.deepcopy(net).cpu()
    resolve_module(plain)
    state = {name: tensor.contiguous() for name, tensor in plain.state_dict().items()}
    write_bytes(file, safetensors.torch.save(state))


def digest(net: Discriminator) -> str:
    """SHA-256 of the weights of a discriminator, by which a run knows it wherever its file is."""
    found = hashlib.sha256()
    for name, tensor in net.state_dict().items():
        found.update(f"{name} {tuple(tensor.shape)} {tensor.dtype} ".encode())
        found.update(tensor.cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


def _sized(state: State) -> Discriminator | None:
    """Make the discriminator that weights are of; None if they are of no known one."""
    shapes = plain_shapes(state)
    kind = discriminator_in(shapes)
    if kind is None:
        return None
    return kind(**kind.read_sizes(shapes))
