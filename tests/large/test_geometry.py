"""The tiles of a picture."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runware_ws import InputError
from runware_ws.large.geometry import check_tiles, grid_of, raised_cosine
from runware_ws.protocol.request import MAX_SIDE


@given(size=st.integers(1, 100_000), side=st.integers(64, 2048), overlap=st.integers(8, 64))
def test_tiles_cover_the_side_and_are_used_only_where_they_have_context(
    size: int, side: int, overlap: int
) -> None:
    side = max(side, 8 * overlap)
    spans = grid_of((size, 1), 4, side, overlap).columns.spans
    assert spans[0].start == spans[0].fade_in == 0
    assert spans[-1].end == spans[-1].fade_out == size
    assert len({span.end - span.start for span in spans}) == 1
    assert spans[0].end <= side
    for one, other in pairwise(spans):
        assert one.end - other.start >= 2 * overlap
        assert one.fade_out - other.fade_in == overlap
        assert other.fade_in - other.start >= overlap // 2
        assert one.end - one.fade_out >= overlap // 2
        assert one.fade_in + overlap <= other.fade_in  # a pixel fades between two tiles at most


@pytest.mark.parametrize("factor", [2, 4])
def test_the_product_of_a_tile_is_no_larger_than_the_service_makes(factor: int) -> None:
    side = check_tiles(factor, None, 32)
    grid = grid_of((12_000, 9_000), factor, side, 32)
    for line in (grid.columns, grid.rows):
        assert all((span.end - span.start) * factor <= MAX_SIDE for span in line.spans)
    assert grid.result_size == (12_000 * factor, 9_000 * factor)


def test_a_picture_that_fits_is_one_tile() -> None:
    assert len(grid_of((1024, 1), 4, 1024, 32)) == 1
    assert len(grid_of((1025, 1), 4, 1024, 32)) == 2


def test_a_fade_is_symmetric_and_has_no_kinks() -> None:
    weights = raised_cosine(128)
    assert all(one + other == 255 for one, other in zip(weights, weights[::-1], strict=True))
    assert all(0 <= after - before <= 4 for before, after in pairwise(weights))
    assert weights[0] == 0
    assert weights[1] <= 1


@pytest.mark.parametrize(
    ("tiles", "match"),
    [
        ((3, None, 32), "factor: 3"),
        ((4, 1025, 32), "tile_size: 1025 is out of range"),
        ((4, 255, 32), "pass 256 to 1024"),
        ((4, None, 4), "overlap: 4 is too small"),
        ((4, None, True), "overlap: True is of type bool"),
        ((4, 600.5, 32), "tile_size: 600.5 is of type float"),
    ],
)
def test_wrong_tiles_are_refused(tiles: tuple[int, int | None, int], match: str) -> None:
    with pytest.raises(InputError, match=match):
        check_tiles(*tiles)
