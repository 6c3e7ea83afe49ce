import copy

import pytest
import torch
from torch import nn
from torch.nn import utils

from decig.training.pytorch.reparametrise import plain_name, resolve_module, resolve_state

OLD_WEIGHT_NORM = pytest.mark.filterwarnings("ignore:.*weight_norm.*deprecated:FutureWarning")
NORMS = {
    "spectral hooks": utils.spectral_norm,
    "spectral parametrisation": utils.parametrizations.spectral_norm,
    "weight hooks": utils.weight_norm,
    "weight parametrisation": utils.parametrizations.weight_norm,
}


def _net(norm) -> nn.Sequential:
    """A convolution, a transposed one whose weight is square, a linear layer, a plain one."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 6, 3), nn.ConvTranspose2d(6, 6, 3), nn.Flatten(), nn.Linear(384, 2)]
    net = nn.Sequential(*(norm(m) if list(m.parameters()) else m for m in layers), nn.Linear(2, 2))
    net.train()
    for _ in range(3):
        net(torch.randn(2, 3, 8, 8))  # moves u and v away from where they started
    return net.eval()


@OLD_WEIGHT_NORM
@pytest.mark.parametrize("name", NORMS)
def test_state_and_module_are_resolved_alike(name):
    net = _net(NORMS[name])
    x = torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        expected = net(x)
    plain = _net(lambda module: module)
    state = net.state_dict()
    assert state.keys() != plain.state_dict().keys()
    assert {plain_name(key) for key in state} == plain.state_dict().keys()
    plain.load_state_dict(resolve_state(state, plain))
    resolved = copy.deepcopy(net)
    resolve_module(resolved)
    assert resolved.state_dict().keys() == plain.state_dict().keys()
    with torch.no_grad():
        assert torch.allclose(plain(x), expected, atol=1e-5)
        assert torch.allclose(resolved(x), expected, atol=1e-6)


def test_spectral_norm_without_v():
    net = _net(utils.spectral_norm)
    plain = _net(lambda module: module)
    full = resolve_state(net.state_dict(), plain)
    old = {k: v for k, v in net.state_dict().items() if not k.endswith("_v")}
    # u and v are only nearly the singular vectors, hence the loose tolerance.
    for key, value in resolve_state(old, plain).items():
        assert torch.allclose(value, full[key], rtol=0.05)


def test_other_parametrisations_and_names_are_left_alone():
    net = utils.parametrizations.orthogonal(nn.Linear(3, 3))
    keys = set(net.state_dict())
    resolve_module(net)
    assert set(net.state_dict()) == keys
    state = {"gate_u": torch.zeros(1), "gate_v": torch.zeros(1)}
    assert resolve_state(state, nn.Linear(1, 1)).keys() == state.keys()
