"""What benchmarks/openvino_side calls of NNCF; nothing is quantised."""


class Dataset:
    def __init__(self, items):
        self.items = list(items)


def quantize(model, dataset, *, subset_size):
    assert len(dataset.items) == subset_size and dataset.items[0].ndim == 4
    print("a line that is no answer")
    return model
