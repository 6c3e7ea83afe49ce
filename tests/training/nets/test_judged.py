import torch

from decig.training.nets.judged import features_of, verdicts


def test_the_last_layer_judges_and_the_others_show_features() -> None:
    values = [[torch.tensor(float(10 * scale + layer)) for layer in range(3)] for scale in (1, 2)]
    assert [float(value) for value in verdicts(values)] == [12, 22]
    assert [[float(value) for value in layers] for layers in features_of(values)] == [
        [10, 11],
        [20, 21],
    ]
