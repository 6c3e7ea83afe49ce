"""Axes of a weight that several nodes use: what goes for one of them goes for all."""

from decig.graph.channels import analyse
from tests.graph.tiny import reasons, tiny, widths


def test_a_use_of_an_unknown_operator_freezes_the_others():
    body = "[one] a = Conv(x, w)\n [two] b = Conv(a, v)\n [odd] c = own.Odd(w)\n y = Add(b, c)"
    proto = tiny(body, w=(8, 3, 1, 1), v=(3, 8, 1, 1))
    channels = analyse(proto)
    assert widths(channels) == {}
    assert reasons(channels)["one"] == "weights w are shared"


def test_a_use_of_which_all_stays_freezes_the_others():
    body = "[one] a = Conv(x, w)\n [two] b = Conv(a, v)\n [end] z = Conv(x, w)\n y = Relu(b)"
    outputs = "float[N,3,H,W] y, float[N,8,H,W] z"
    channels = analyse(tiny(body, outputs=outputs, w=(8, 3, 1, 1), v=(3, 8, 1, 1)))
    assert widths(channels) == {}
    assert reasons(channels)["one"] == "graph output z"


def test_shared_axes_are_one_group():
    body = "[one] a = Conv(x, w)\n [two] b = Conv(z, w)\n [three] c = Conv(a, v)\n"
    body += "[four] d = Conv(b, u)\n y = Add(c, d)"
    inputs = "float[1,3,8,8] x, float[1,3,8,8] z"
    proto = tiny(body, inputs=inputs, w=(8, 3, 1, 1), v=(3, 8, 1, 1), u=(3, 8, 1, 1))
    channels = analyse(proto)
    assert widths(channels) == {"one": 8}
    assert channels.group("one").nodes == ["one", "two", "three", "four"]
