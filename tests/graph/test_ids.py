"""Identities: uniting, tying, freezing, and the order of classes."""

import numpy as np

from decig.graph.ids import FIXED, IdSpace, compress, varying_axes


def test_fresh_ids_are_new_and_never_fixed():
    space = IdSpace()
    first, second = space.fresh(3), space.fresh(2)
    assert [*first, *second] == [1, 2, 3, 4, 5]
    assert FIXED not in first


def test_classes_are_numbered_in_channel_order():
    space = IdSpace()
    a, b = space.fresh(3), space.fresh(3)
    space.unite(a, b[::-1], "")
    classes = space.classes()
    assert list(classes[[FIXED]]) == [0]
    assert list(classes[a]) == [1, 2, 3]
    assert list(classes[b]) == [3, 2, 1]


def test_unions_are_transitive():
    space = IdSpace()
    a, b, c = space.fresh(2), space.fresh(2), space.fresh(2)
    space.unite(b, c, "")
    space.unite(a, b, "")
    classes = space.classes()
    assert list(classes[a]) == list(classes[c]) == [1, 2]


def test_unite_broadcasts():
    space = IdSpace()
    a, b = space.fresh(3), space.fresh(1)
    space.unite(a, b, "")
    assert list(space.classes()) == [0, 1, 1, 1, 1]


def test_what_meets_fixed_is_frozen_not_united():
    space = IdSpace()
    a, b = space.fresh(2), space.fresh(2)
    space.unite(a, np.array([FIXED, FIXED]), "because")
    space.unite(a[:1], b[:1], "")
    classes = space.classes()
    assert list(classes) == [0, 1, 2, 1, 3]
    assert space.frozen(classes) == {0: "graph input", 1: "because", 2: "because"}


def test_the_first_reason_to_freeze_is_kept():
    space = IdSpace()
    a = space.fresh(2)
    space.freeze(a[:1], "first")
    space.freeze(a, "second")
    space.freeze(None, "third")
    assert space.frozen(space.classes()) == {0: "graph input", 1: "first", 2: "second"}


def test_inexact_spreads_over_a_class():
    space = IdSpace()
    a, b = space.fresh(2), space.fresh(2)
    space.unite(a, b, "")
    space.mark_inexact(b[:1])
    assert space.inexact(space.classes()) == {1}


def test_tie_unites_along_an_axis():
    space = IdSpace()
    grid = space.fresh(6).reshape(2, 3)
    tied = space.tie(grid, (0,), "")
    assert tied.tolist() == [[1, 2, 3]]
    assert space.classes()[grid].tolist() == [[1, 2, 3], [1, 2, 3]]


def test_tie_along_two_axes_leaves_the_third():
    space = IdSpace()
    cube = space.fresh(8).reshape(2, 2, 2)
    tied = space.tie(cube, (0, 2), "")
    assert tied.tolist() == [[[1], [3]]]
    assert space.classes()[cube].tolist() == [[[1, 1], [2, 2]], [[1, 1], [2, 2]]]


def test_tie_of_constant_axes_changes_nothing():
    space = IdSpace()
    row = space.fresh(3).reshape(1, 3)
    assert space.tie(row, (0,), "") is row
    assert list(space.classes()) == [0, 1, 2, 3]


def test_varying_axes_and_compress():
    ids = np.broadcast_to(np.array([1, 2, 3])[None, :, None], (2, 3, 4))
    assert varying_axes(ids) == [0, 1, 2]
    small = compress(ids)
    assert small.shape == (1, 3, 1)
    assert varying_axes(small) == [1]
