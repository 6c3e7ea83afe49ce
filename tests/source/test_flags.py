from decig.source.flags import PixelFlags


def test_only_what_is_said_is_known():
    flags = PixelFlags((0.0, 1.0), layout="nhwc", feeds={"code": "normal"})
    assert flags.known() == {"input_range": (0.0, 1.0), "layout": "nhwc"}
    assert PixelFlags().known() == {}
