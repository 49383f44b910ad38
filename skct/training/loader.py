"""`BatchLoader`: a DataLoader that slices whole batches."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from skorch.dataset import Dataset
from torch import Generator
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    RandomSampler,
    Sampler,
    SequentialSampler,
    TensorDataset,
)

__all__ = ["BatchLoader"]


DTYPES = [np.dtype(f"{kind}{size}") for kind in "fi" for size in (2, 4, 8)]


class Rows(TensorDataset):
    """A skorch dataset of arrays as tensors, which are sliced in one go."""

    def __init__(self, dataset: Dataset):
        columns = dataset.X, dataset.y
        # torch wants arrays that lie forwards and may be written to; others are copied.
        columns = (np.require(column, requirements=["C", "W"]) for column in columns)
        super().__init__(*map(torch.from_numpy, columns))
        self.X, self.y = dataset.X, dataset.y  # as skorch finds them


class IndexArrays(BatchSampler):
    """Indices of each batch as an array, which is faster than a list."""

    def __iter__(self) -> Iterator[Any]:
        """Arrays of row numbers."""
        return map(np.array, super().__iter__())


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
        kind: type[BatchSampler] = BatchSampler
        if holds_arrays(dataset):
            # skorch looks up rows through scikit-learn, which takes longer than the
            # training step of a small network.
            dataset, kind = Rows(dataset), IndexArrays
        batches = kind(sampler, batch_size, drop_last)
        super().__init__(
            dataset, batch_size=None, sampler=batches, generator=generator, **kwargs
        )


def holds_arrays(dataset: Any) -> bool:
    """Whether a dataset is skorch's own, of arrays that torch can take as they are."""
    if type(dataset) is not Dataset:
        return False
    columns = dataset.X, dataset.y
    return all(type(c) is np.ndarray and c.dtype in DTYPES for c in columns)
