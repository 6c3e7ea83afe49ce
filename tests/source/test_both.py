import onnx
import pytest

from decig.errors import BadInputError
from decig.graph.model import input_info
from decig.source.both import resolve_both
from tests.samples import write_dynamic_generator


def write_renamed(path, **names):
    """Write the dynamic generator with other names of its inputs."""
    write_dynamic_generator(path)
    proto = onnx.load(path)
    for value in proto.graph.input:
        value.name = names.get(value.name, value.name)
    for node in proto.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
    onnx.save(proto, path)
    return str(path)


@pytest.mark.parametrize("name", ["image", "photo"])
def test_a_shape_is_for_both_models_whatever_their_inputs_are_called(tmp_path, name):
    one = str(write_dynamic_generator(tmp_path / "one.onnx"))
    other = write_renamed(tmp_path / "other.onnx", image="photo")
    shape = [1, 3, 32, 20]
    for pair in ((one, other), (other, one), (one, one)):
        if name == "photo" and other not in pair:
            continue
        for source in resolve_both(*pair, None, {name: shape}):
            (taken,) = input_info(source.model.proto)
            assert taken.shape == shape


def test_each_model_may_be_given_its_own_shape(tmp_path):
    one = str(write_dynamic_generator(tmp_path / "one.onnx"))
    other = write_renamed(tmp_path / "other.onnx", image="photo")
    shapes = {"image": [1, 3, 32, 20], "photo": [1, 3, 20, 20]}
    found = resolve_both(one, other, None, shapes)
    assert [input_info(s.model.proto)[0].shape for s in found] == list(shapes.values())


def test_a_name_that_neither_model_has_is_refused(tmp_path):
    one = str(write_dynamic_generator(tmp_path / "one.onnx"))
    with pytest.raises(
        BadInputError, match=r"one\.onnx: --input-shape mask: no such input; inputs"
    ):
        resolve_both(one, one, None, {"mask": [1, 3, 32, 20]})
    with pytest.raises(BadInputError, match=r"none\.onnx: cannot read this model"):
        resolve_both(one, str(tmp_path / "none.onnx"), None, {"image": [1, 3, 32, 20]})
