import numpy as np
import pytest
from onnx import helper

from decig.repair.sample import rows_for, take_sample
from decig.repair.solve import as_matrix
from decig.repair.taps import geometry

RNG = np.random.default_rng(0)


def test_a_cropped_transposed_convolution_is_seen_at_the_same_positions() -> None:
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2])
    source = RNG.normal(size=(2, 3, 5, 5)).astype(np.float32)
    weight = RNG.normal(size=(3, 4, 3, 3)).astype(np.float32)
    layout = geometry(node, source.shape, weight.shape, (2, 4, 11, 11))
    from_all = layout.taps(np.arange(121))
    padded = np.concatenate([source.reshape(2, 3, 25), np.zeros((2, 3, 1), np.float32)], axis=2)
    rows = padded[:, :, from_all].transpose(0, 2, 3, 1).reshape(2, 121, -1)
    output = (rows @ as_matrix(node, weight)).transpose(0, 2, 1).reshape(2, 4, 11, 11)
    end = output[:, :, :10, :10] + 1
    sample = take_sample(
        layout, [source], [output], [end], [end], np.arange(4), np.random.default_rng(0)
    )
    assert sample.source.shape == (2, 100, 27)
    assert sample.source @ as_matrix(node, weight) == pytest.approx(sample.output, abs=1e-4)
    assert sample.end == pytest.approx(sample.output + 1, abs=1e-4)
    assert np.array_equal(sample.skip, sample.end)
    whole = output[:, :, :10, :10].reshape(2, 4, -1)
    assert sample.mean[:, 0] == pytest.approx(whole.mean(2), abs=1e-4)
    assert sample.spread[:, 0] == pytest.approx(whole.std(2), abs=1e-4)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_channels_that_go_are_not_looked_at(dtype: type) -> None:
    node = helper.make_node("Conv", ["x", "w"], ["y"])
    source = RNG.normal(size=(1, 3, 9, 9)).astype(dtype)
    output = (300 * RNG.normal(size=(1, 6, 9, 9))).astype(dtype)
    layout = geometry(node, source.shape, (6, 3, 1, 1), output.shape)
    kept, twice = np.array([1, 4]), [source, source]
    sample = take_sample(layout, twice, [output] * 2, [-output] * 2, None, kept, RNG)
    whole = output[0, kept].reshape(2, -1).astype(np.float32)
    assert sample.output.dtype == sample.source.dtype == np.float32
    assert np.array_equal(sample.output[0], whole.T)
    assert np.array_equal(sample.end, -sample.output)
    assert sample.skip == 0
    assert sample.mean[1, 0] == pytest.approx(whole.mean(1), rel=1e-4)
    assert sample.spread[1, 0] == pytest.approx(whole.std(1), rel=1e-4)


@pytest.mark.parametrize("features", [1, 27, 576, 1235, 1236, 2048, 3684, 4096, 8192, 65536])
def test_wide_layers_are_fitted_to_fewer_positions_in_about_the_same_time(features: int) -> None:
    rows = rows_for(features)
    assert 100 < rows <= 32768
    assert rows * features * min(rows, features) <= 5.01e10
    assert rows_for(features + 1) <= rows
    assert rows == 32768 or rows * features * min(rows, features) > 4.9e10 or features < 1900
