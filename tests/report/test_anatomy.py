"""What `decig inspect` says of a group: layers, stages, names."""

from decig.graph.channels import analyse
from decig.graph.model import shapes
from decig.report.anatomy import Anatomy, Stage, anatomies, layer_of, short_names, stages
from tests.graph.tiny import tiny

BODY = """
    [c1] a = Conv<pads=[1,1,1,1]>(x, w1, b1)
    [n1] n = InstanceNormalization(a, g1, h1)
    [c2] b = Conv<pads=[1,1,1,1], strides=[2,2]>(n, w2)
    [c3] c = Conv(b, w3)
    s = Add(b, c)
    [d] e = Conv<group=4>(s, wd)
    [t] u = ConvTranspose<strides=[2,2], kernel_shape=[2,2]>(e, wt)
    [c4] y = Conv(u, w4)
"""
WEIGHTS = {
    "w1": (6, 3, 3, 3),
    "b1": (6,),
    "g1": (6,),
    "h1": (6,),
    "w2": (4, 6, 3, 3),
    "w3": (4, 4, 1, 1),
    "wd": (4, 1, 1, 1),
    "wt": (4, 5, 2, 2),
    "w4": (3, 5, 1, 1),
}


def test_groups_have_layers_makers_readers_and_a_size():
    proto = tiny(BODY, **WEIGHTS)
    found = anatomies(proto, analyse(proto))
    assert found["c1"] == Anatomy({"Conv 3x3": 1, "InstanceNorm": 1}, ["c1"], ["c2"], (8, 8))
    trunk = {"Conv 3x3 /2": 1, "Conv 1x1": 1, "depthwise Conv 1x1": 1}
    assert found["c2"] == Anatomy(trunk, ["c2", "c3"], ["c3", "t"], (4, 4))
    assert found["t"].layers == {"ConvTranspose 2x2 x2": 1}
    order = [group.name for group in analyse(proto).groups]
    assert stages(order, found) == [
        Stage((8, 8), ["c1"]),
        Stage((4, 4), ["c2"]),
        Stage((8, 8), ["t", "c4"]),
    ]


def test_what_is_no_picture_stays_with_its_neighbours():
    found = {
        name: Anatomy({}, [], [], size)
        for name, size in {
            "s": (),
            "a": (64, 64),
            "g": (1, 1),
            "b": (65, 65),
            "c": (32, 32),
        }.items()
    }
    assert stages(list(found), found) == [
        Stage((64, 64), ["s", "a", "g", "b"]),
        Stage((32, 32), ["c"]),
    ]


def test_grouped_convolutions_are_told_apart():
    proto = tiny(
        "[g] a = Conv<group=3>(x, w)\n [c] y = Conv<group=2>(a, v)",
        w=(6, 1, 1, 1),
        v=(4, 3, 1, 1),
    )
    known = shapes(proto)
    assert [layer_of(node, known) for node in proto.graph.node] == [
        "depthwise Conv 1x1",
        "Conv 1x1 in 2 groups",
    ]


def test_long_names_lose_what_they_share_and_their_middle():
    path = "StatefulPartitionedCall/generator/"
    names = [f"{path}conv2d_1/Conv2D", f"{path}a_very_long_name_of_a_residual_block_7/conv/Conv2D"]
    short = short_names(names)
    assert short[names[0]] == "conv2d_1/Conv2D"
    assert len(short[names[1]]) == 30
    assert short[names[1]].endswith("block_7/conv/Conv2D")


def test_short_names_stay_apart():
    names = [f"first/{'x' * 40}{i}{'y' * 40}" for i in range(2)]
    assert len(set(short_names(names).values())) == 2
    assert short_names(["conv1"]) == {"conv1": "conv1"}
