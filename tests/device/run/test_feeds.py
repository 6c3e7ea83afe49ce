import numpy as np
import pytest

from decig.device.run.device import Device
from decig.device.run.feeds import dtype_of, random_feeds
from decig.errors import BadInputError
from tests.device.graphs import style_net


def test_feeds_need_static_shapes():
    proto = style_net()
    proto.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"
    session = Device.of().open(proto)
    with pytest.raises(BadInputError, match="--input-shape x:"):
        random_feeds(session)


def test_feeds_are_reproducible():
    session = Device.of().open(style_net())
    one, two = random_feeds(session), random_feeds(session)
    assert np.array_equal(one["x"], two["x"])
    assert one["x"].dtype == np.float32
    assert dtype_of(session.get_outputs()[0]) == np.float32


def test_what_is_no_tensor_has_no_type():
    entry = type("Entry", (), {"type": "seq(tensor(float))"})
    assert dtype_of(entry) is None
