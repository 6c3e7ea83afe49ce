import numpy as np
import pytest
import torch

from decig.errors import BadInputError
from decig.graph.channels import analyse
from decig.training.narrowing.hypernetworks import Hypernetworks, require_memory
from decig.training.narrowing.latents import LatentModule
from decig.training.trainable.module import build_module
from tests.training.tiny import tiny_generator

KERNEL_LAST = ((2, 3), (0,))
"""Axes of a convolution's weight."""


def test_they_begin_with_the_given_weights_and_draws_of_the_papers_variance() -> None:
    random = torch.Generator().manual_seed(1)
    value = torch.randn(32, 24, 3, 3, generator=random) * (24 * 9) ** -0.5
    made = Hypernetworks({"a": (value, KERNEL_LAST)}, 8, seed=0)
    torch.testing.assert_close(made()["a"], value)
    assert made.w1[0].shape == (32, 24, 1, 1, 8) and made.w2[0].shape == (32, 24, 3, 3, 8)
    assert made.w1[0].var().item() == pytest.approx(1, rel=0.1)
    # The draws have 1 / (8 in k k), and what is added to make V the given one is no more than that.
    least = 1 / (8 * 24 * 9)
    assert 0.5 * least < made.w2[0].var().item() < 2 * least


def test_they_are_the_papers_hypernetwork_without_biases() -> None:
    """K = w2 (w1 (z_out z_in)), entry by entry."""
    proto = tiny_generator(size=24)
    channels = analyse(proto)
    first = {"c1": np.linspace(1, 0.2, 8), "c2": np.linspace(0.2, 1, 8)}
    made = LatentModule(build_module(proto), channels, first, embedding=8)
    assert made.hypernetworks is not None
    place = list(made.hypernetworks()).index("c2.weight")
    w1, w2 = made.hypernetworks.w1[place], made.hypernetworks.w2[place]
    z_in, z_out = (made.by_group()[name] for name in ("c1", "c2"))
    outer = torch.outer(z_out, z_in)[:, :, None, None, None]
    torch.testing.assert_close(made.weights()["c2.weight"], (w2 * (w1 * outer)).sum(-1))


def test_gradients_reach_latents_and_both_layers_but_not_what_they_make() -> None:
    proto = tiny_generator(size=24)
    first = {"c1": np.ones(8), "c2": np.ones(8)}
    made = LatentModule(build_module(proto), analyse(proto), first, embedding=4)
    made(torch.rand(1, 3, 24, 24))[0].square().sum().backward()
    assert made.hypernetworks is not None and made.latents.grad is not None
    assert made.latents.grad.count_nonzero() == 16
    for parameter in made.hypernetworks.parameters():
        assert parameter.grad is not None and parameter.grad.count_nonzero() > 0
    assert made.net.get_parameter("c2_weight").grad is None
    assert made.net.get_parameter("c1_weight").grad is not None  # nothing can go of its input


def test_what_does_not_fit_into_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("decig.training.narrowing.hypernetworks.free_bytes", lambda _: 2**30)
    require_memory(1_000_000, 8, torch.device("cpu"), "hypernet")
    with pytest.raises(BadInputError, match=r"\[hypernet\] embedding = 8: .* parameters need 8\.9"):
        require_memory(40_000_000, 8, torch.device("cpu"), "hypernet")
