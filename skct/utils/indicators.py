"""0/1 columns that together encode one category, such as `pandas.get_dummies` makes."""

import re
from collections.abc import Iterator, Sequence

import numpy as np

__all__ = ["Block", "named_blocks"]

# A block is its positions, and whether some training row has none of them on.
Block = tuple[tuple[int, ...], bool]

# Rows that would have two on by chance, if the columns had nothing to do with another.
LEAST_EXPECTED = 3.0
SEPARATOR = re.compile(r"[^A-Za-z0-9]+")


def named_blocks(
    names: Sequence, on: np.ndarray, positions: Sequence[int]
) -> Iterator[Block]:
    """Blocks among 0/1 columns whose names begin alike.

    ``region_b`` and ``region_c`` are a block if no training row has both on, although
    some would by chance, whatever stands between them in the table. Of ``job_a_x``,
    ``job_a_y`` and ``job_b`` all three are, or the first two where the three are not.

    Parameters
    ----------
    names : sequence
        Of all columns; only text is looked at.
    on : bool ndarray of shape (n_rows, n_candidates)
        Which of the candidates are on in the training rows.
    positions : sequence of int
        Of the candidates in the table.

    Yields
    ------
    columns : tuple of int
        At least two, in the order of the table; two of them are on somewhere.
    has_none : bool
        Whether all are off in some training row, as where the first category was
        dropped.
    """
    tokens = {
        k: SEPARATOR.split(name)
        for k, i in enumerate(positions)
        if isinstance(name := names[i], str)
    }
    yield from blocks_below(on, positions, tokens, list(tokens), 1)


def blocks_below(
    on: np.ndarray,
    positions: Sequence[int],
    tokens: dict[int, list[str]],
    candidates: list[int],
    depth: int,
) -> Iterator[Block]:
    """Blocks of candidates whose names have their first `depth` words in common."""
    alike: dict[tuple, list[int]] = {}
    for k in candidates:
        if len(tokens[k]) > depth:  # something has to be left to tell them apart
            alike.setdefault(tuple(tokens[k][:depth]), []).append(k)
    for columns in alike.values():
        if len(columns) < 2:
            continue
        n_on, share = on[:, columns].sum(1), on[:, columns].mean(0)
        if n_on.max(initial=0) > 1:
            yield from blocks_below(on, positions, tokens, columns, depth + 1)
            continue
        has_none = bool((n_on == 0).any())
        expected = len(on) * (share.sum() ** 2 - (share**2).sum()) / 2
        if (share > 0).sum() > 1 and (expected >= LEAST_EXPECTED or not has_none):
            yield tuple(positions[k] for k in columns), has_none
