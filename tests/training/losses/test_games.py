from typing import get_args

import pytest
import torch

from decig.training.losses.games import GAMES, GameName, frozen


def test_every_name_that_settings_take_is_a_game() -> None:
    assert set(get_args(GameName)) == GAMES.keys()


@pytest.mark.parametrize("name", GAMES)
def test_a_good_discriminator_loses_little_and_a_good_generator_too(name: GameName) -> None:
    low, high = torch.full((4,), -3.0), torch.full((4,), 3.0)
    if name == "least-squares":
        low, high = torch.zeros(4), torch.ones(4)
    game = GAMES[name]
    assert game.discriminator([low], [high]) < 0.1 < game.discriminator([high], [low])
    assert game.generator([high]) < game.generator([low])


def test_weights_are_frozen_inside_alone() -> None:
    net = torch.nn.Linear(2, 1)
    x = torch.ones(1, 2, requires_grad=True)
    with frozen(net):
        net(x).sum().backward()
    assert x.grad is not None and net.weight.grad is None
    assert all(parameter.requires_grad for parameter in net.parameters())
