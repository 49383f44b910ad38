"""`BatchLoader`: a DataLoader that slices whole batches."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from skorch.dataset import Dataset
from torch import Generator
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    RandomSampler,
    Sampler,
    SequentialSampler,
)

__all__ = ["BatchLoader"]


class IndexArrays(BatchSampler):
    """Indices of each batch as an array, for skorch's datasets."""

    def __iter__(self) -> Iterator[Any]:
        """Arrays of row numbers."""
        # skorch turns arrays of int64 into lists, and looks into every entry of a list,
        # which takes longer than the training step of a small network.
        return (np.array(batch, dtype=np.int32) for batch in super().__iter__())


class BatchLoader(DataLoader):
    """`DataLoader` that slices whole batches: same rows, same order, same seeds.

    The ordinary loader collects a batch row by row in Python, which takes longer than
    the training step of a small network.

    Parameters
    ----------
    dataset : Dataset
        Has to accept a list of indices, as skorch's does.
    batch_size : int, default=1
    shuffle, drop_last : bool, default=False
    generator : torch.Generator, optional
    sampler : Sampler, optional
    **kwargs
        As in `torch.utils.data.DataLoader`.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        shuffle: bool = False,
        drop_last: bool = False,
        generator: Generator | None = None,
        sampler: Sampler | None = None,
        **kwargs: Any,
    ):
        if sampler is None and shuffle:
            sampler = RandomSampler(dataset, generator=generator)
        elif sampler is None:
            sampler = SequentialSampler(dataset)
        # batch_size=None: the indices of a batch go to the dataset as they are.
        kind = IndexArrays if isinstance(dataset, Dataset) else BatchSampler
        batches = kind(sampler, batch_size, drop_last)
        super().__init__(
            dataset, batch_size=None, sampler=batches, generator=generator, **kwargs
        )
