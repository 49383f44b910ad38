"""`BatchLoader`: a DataLoader that slices whole batches."""

import numpy as np
import torch
from skorch.dataset import Dataset
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    RandomSampler,
    SequentialSampler,
    default_convert,
)

__all__ = ["BatchLoader"]


DTYPES = [np.dtype(f"{kind}{size}") for kind in "fi" for size in (2, 4, 8)]


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
        dataset,
        batch_size=1,
        shuffle=False,
        drop_last=False,
        generator=None,
        sampler=None,
        **kwargs,
    ):
        if sampler is None and shuffle:
            sampler = RandomSampler(dataset, generator=generator)
        elif sampler is None:
            sampler = SequentialSampler(dataset)
        batches = BatchSampler(sampler, batch_size, drop_last)
        super().__init__(
            dataset, batch_size=None, sampler=batches, generator=generator, **kwargs
        )

    def __iter__(self):
        """Batches of tensors (X, y)."""
        columns = plain_columns(self.dataset)
        plain = self.collate_fn is default_convert and not self.pin_memory
        if columns is None or self.num_workers or not plain:
            return super().__iter__()
        torch.empty((), dtype=torch.int64).random_(generator=self.generator)
        return self.slices(*columns)  # after the draw that DataLoader makes here

    def slices(self, *columns):
        """Rows of each batch, without the detour over the dataset."""
        for rows in self.rows():
            yield [column[rows] for column in columns]

    def rows(self):
        """Positions of the rows of each batch."""
        batches = self.sampler
        if type(batches.sampler) not in (RandomSampler, SequentialSampler):
            yield from map(torch.tensor, batches)
            return
        order = torch.tensor(list(batches.sampler), dtype=torch.int64)
        for rows in order.split(batches.batch_size):
            if len(rows) == batches.batch_size or not batches.drop_last:
                yield rows


def plain_columns(dataset):
    """X and y of a skorch dataset of arrays, as tensors; None for any other."""
    if type(dataset) is not Dataset:
        return None
    columns = dataset.X, dataset.y
    if not all(type(c) is np.ndarray and c.dtype in DTYPES for c in columns):
        return None
    return [torch.from_numpy(readable(column)) for column in columns]


def readable(column):
    """Array as torch can look at it: lying forwards, writable; a copy if need be."""
    forwards = all(stride >= 0 for stride in column.strides)
    return column if forwards and column.flags.writeable else column.copy()
