from decig.quality.protocol import Protocol


def test_what_people_read_names_all_that_the_figures_rest_on():
    text = str(Protocol(100, 106, 0))
    assert "100 pictures against 106, no subsets, scaled to 224x224" in text
    assert "EfficientNet-Lite0" in text
    assert "not to be compared with KID and FID on Inception features" in text
    assert "100 pictures against 100, 100 in pairs" in str(Protocol.of_pairs(100))


def test_what_programs_read():
    found = Protocol(3, 4, 2).to_dict()
    assert found["features"] == "EfficientNet-Lite0, 1280 means over all positions"
    assert (found["pictures"], found["others"], found["pairs"], found["size"]) == (3, 4, 2, 224)
    assert found["subsets"].startswith("none")
