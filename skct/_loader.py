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
        for rows in self.sampler:
            index = np.asarray(rows)
            yield [default_convert(column[index]) for column in columns]


def plain_columns(dataset):
    """Arrays X and y of a skorch dataset that holds such; None for any other."""
    if type(dataset) is not Dataset:
        return None
    columns = dataset.X, dataset.y
    if not all(type(c) is np.ndarray and c.dtype.kind in "fiu" for c in columns):
        return None
    return columns
