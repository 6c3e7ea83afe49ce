import numpy as np
import torch

from decig.training.nets.image_pool import ImagePool


def pictures(*values: float, size: int = 2) -> torch.Tensor:
    return torch.stack([torch.full((3, size, size), float(value)) for value in values])


def values(given: torch.Tensor) -> list[float]:
    return given[:, 0, 0, 0].tolist()


def test_pictures_come_back_until_the_pool_is_full() -> None:
    pool, rng = ImagePool(3), np.random.default_rng(0)
    assert values(pool.exchange(pictures(1, 2), rng)) == [1, 2]
    assert values(pool.exchange(pictures(3), rng)) == [3]
    assert len(pool) == 3


def test_half_the_time_a_picture_of_the_pool_is_exchanged_for_the_new_one() -> None:
    pool, rng = ImagePool(5), np.random.default_rng(1)
    kept = set(values(pool.exchange(pictures(*range(5)), rng)))
    old = 0
    for number in range(5, 405):
        (given,) = values(pool.exchange(pictures(number), rng))
        if given != number:
            old += 1
            assert given in kept
            kept = kept - {given} | {float(number)}
        held = {float(picture[0, 0, 0]) for picture in pool.state_dict()["pictures"]}
        assert held == kept
    assert 160 < old < 240


def test_exchanges_follow_from_the_seed_and_the_saved_state() -> None:
    def go_on(pool: ImagePool, numbers: range) -> list[float]:
        found = []
        for number in numbers:
            rng = np.random.default_rng([7, number])
            found += values(pool.exchange(pictures(number), rng))
        return found

    whole, cut, again = (ImagePool(4) for _ in range(3))
    wanted = go_on(whole, range(40))
    assert go_on(cut, range(17)) == wanted[:17]
    again.load_state_dict(cut.state_dict())
    assert go_on(again, range(17, 40)) == wanted[17:]


def test_what_is_stored_has_no_gradient_and_its_own_memory() -> None:
    pool, rng = ImagePool(1), np.random.default_rng(0)
    first = pictures(1).requires_grad_()
    assert not pool.exchange(first * 1, rng).requires_grad
    given = pictures(2)
    pool.exchange(given, rng)
    given.zero_()
    (held,) = pool.state_dict()["pictures"]
    assert float(held[0, 0, 0]) in (1.0, 2.0) and not held.requires_grad


def test_a_pool_of_size_0_keeps_nothing_and_other_sizes_empty_it() -> None:
    rng = np.random.default_rng(0)
    none = ImagePool(0)
    assert values(none.exchange(pictures(1, 2), rng)) == [1, 2] and len(none) == 0
    pool = ImagePool(3)
    pool.exchange(pictures(1, 2, 3), rng)
    assert pool.exchange(pictures(4, size=6), rng).shape == (1, 3, 6, 6)
    assert len(pool) == 1
