"""What a session reads and writes: types of its tensors, and values to time it with."""

import numpy as np
import onnxruntime as ort

from decig.errors import BadInputError

_DTYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}


def dtype_of(entry: ort.NodeArg) -> np.dtype | None:
    """Type of the elements of an input or output; None if it is no tensor of numbers."""
    known = _DTYPES.get(entry.type)
    return None if known is None else np.dtype(known)


def random_feeds(session: ort.InferenceSession, seed: int = 0) -> dict[str, np.ndarray]:
    """Make values to time a session with.

    Args:
        session: an open session with inputs of fixed shapes.
        seed: the same seed gives the same values.

    Returns:
        For each input by name: uniform values in [0, 1) if it holds floats, else zeros.

    Raises:
        BadInputError: an input has no fixed shape, or is of a type that is not known here.
    """
    generator = np.random.default_rng(seed)
    feeds = {}
    for entry in session.get_inputs():
        if not all(isinstance(size, int) and size > 0 for size in entry.shape):
            raise BadInputError(
                f"input {entry.name!r} has no fixed shape ({entry.shape}); "
                f"give it: --input-shape {entry.name}:1,3,256,256"
            )
        dtype = dtype_of(entry)
        if dtype is None:
            raise BadInputError(f"input {entry.name!r}: type {entry.type} is not supported")
        floating = np.issubdtype(dtype, np.floating)
        values = generator.random(entry.shape) if floating else np.zeros(entry.shape)
        feeds[entry.name] = values.astype(dtype)
    return feeds
