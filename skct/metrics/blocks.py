"""Work on large tables block by block, so that memory stays bounded."""

from collections.abc import Callable

import numpy as np

__all__ = ["by_blocks"]

CHUNK = 2**22  # entries of a block, of distances for example: 32 MB


def by_blocks(
    block_values: Callable[[np.ndarray], np.ndarray], rows: np.ndarray, width: int
) -> np.ndarray:
    """One value per row from `block_values`, which needs `width` entries for each row.

    scikit-learn's `pairwise_distances_chunked` does this for distances alone. Its
    Euclidean ones lose digits where rows are close together; with others it is as fast
    as this.
    """
    size = max(1, CHUNK // width)
    blocks = (rows[i : i + size] for i in range(0, len(rows), size))
    return np.concatenate([block_values(block) for block in blocks] or [np.zeros(0)])
