"""A hash of an estimator that is the same in every process, for Dask."""

from collections.abc import Mapping
from typing import Any

import torch
from joblib.hashing import NumpyHasher
from sklearn.base import BaseEstimator
from skorch import NeuralNet

__all__ = ["dask_token"]


def dask_token(estimator: BaseEstimator) -> list:
    """Class, parameters and fitted state, as ``__dask_tokenize__`` of an estimator."""
    return [type(estimator).__qualname__, *fingerprints(vars(estimator))]


def fingerprints(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and hashes, one by one: a copy may share other parts than its original."""
    names = sorted(set(values) - {"history_"})  # which has seconds in it
    return [(name, TorchHasher().hash(values[name])) for name in names]


class TorchHasher(NumpyHasher):
    """joblib's hash, by the numbers in a tensor rather than by where they lie."""

    def save(self, obj: Any) -> None:
        """Hash tensors as arrays, and skorch nets without history and optimiser."""
        if isinstance(obj, torch.Tensor):
            obj = torch.Tensor, obj.detach().cpu().numpy()
        elif isinstance(obj, NeuralNet):
            state = {**obj.get_params(deep=False), "module_": vars(obj).get("module_")}
            obj = type(obj), fingerprints(state)
        elif isinstance(obj, BaseEstimator):
            obj = type(obj), fingerprints(vars(obj))
        super().save(obj)
