"""Weights that a rule makes for a net, from the names and shapes of its checkpoint.

The rule is that of ../shared/checkpoints: random numbers seeded by the name of each weight, scaled
by what the weight is for.
"""

import hashlib
import zlib
from typing import Any

import numpy as np

Keys = dict[str, dict[str, Any]]
"""Shape, dtype and fill of every weight, by its name, in the order of the state dict."""

_FROM_NORMAL = {
    "shift": lambda n: 0.1 * n,
    "scale": lambda n: 1 + 0.1 * n,
    "variance": lambda n: 1 + 0.1 * np.abs(n),
    "slope": lambda n: 0.25 + 0.05 * n,
    "rho": lambda n: 0.5 + 0.1 * n,
    "unit": lambda n: n,
    "unit100": lambda n: 100 * n,
    "weight": lambda n: n * np.sqrt(2 / np.prod(n.shape[1:])),
    "u": lambda n: n / np.sqrt(np.square(n).sum()),
}
_LINES = {"blur3": np.array([1, 2, 1]) / 4, "blur4": np.array([1, 3, 3, 1]) / 4}


def make_weights(keys: Keys) -> dict[str, np.ndarray]:
    """Make the weights of a checkpoint, in its order."""
    made = {name: _fill(name, spec) for name, spec in keys.items() if spec["fill"] != "v"}
    for name, spec in keys.items():
        if spec["fill"] == "v":
            matrix = made[f"{name[:-2]}_orig"].astype(np.float64)
            v = matrix.reshape(len(matrix), -1).T @ made[f"{name[:-2]}_u"].astype(np.float64)
            made[name] = (v / np.sqrt(np.square(v).sum())).astype(np.float32)
    return {name: made[name] for name in keys}


def digest(keys: Keys, weights: dict[str, np.ndarray]) -> str:
    """SHA-256 of all weights but the `v` of spectral norms, whose last bit depends on the BLAS."""
    found = hashlib.sha256()
    for name, spec in keys.items():
        if spec["fill"] != "v":
            found.update(np.ascontiguousarray(weights[name]).tobytes())
    return found.hexdigest()


def _fill(name: str, spec: dict[str, Any]) -> np.ndarray:
    shape, fill = tuple(spec["shape"]), spec["fill"]
    if fill == "count":
        return np.zeros(shape, np.int64)
    if fill in _LINES:
        kernel = np.outer(_LINES[fill], _LINES[fill])
        return np.broadcast_to(kernel, shape).astype(np.float32)
    normal = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape)
    made: np.ndarray = np.asarray(_FROM_NORMAL[fill](normal)).astype(np.float32)
    return made
