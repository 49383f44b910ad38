"""`Rows`: tensors with one entry per row, thinned out and joined together."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

import torch
from torch import Tensor

__all__ = ["Rows"]


@dataclass
class Rows:
    """Base of dataclasses whose fields are tensors of one length, or None.

    Solvers work on fewer and fewer rows. What they know about each of them is a
    subclass, so that no column is forgotten when finished rows are dropped.
    """

    def take(self, index: Tensor) -> Self:
        """Copy that holds only the rows at some positions, in that order."""
        return type(self)(
            *(None if c is None else c.index_select(0, index) for c in self.columns())
        )

    @classmethod
    def cat(cls, parts: Sequence[Self]) -> Self:
        """Rows of all parts, one part after the other."""
        columns = zip(*(part.columns() for part in parts), strict=True)
        return cls(*(None if same[0] is None else torch.cat(same) for same in columns))

    def columns(self) -> list[Tensor | None]:
        """Values of all fields, in order."""
        return [getattr(self, field.name) for field in fields(self)]
