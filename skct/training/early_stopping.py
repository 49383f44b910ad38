"""Rows held out of a fit, and training that stops by them: skorch's own parts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from skorch.callbacks import EarlyStopping
from skorch.dataset import Dataset, ValidSplit
from skorch.helper import predefined_split
from skorch.utils import data_from_dataset

from ..utils.validation import label_codes, parameter_error
from .net import CounterfactualNet

__all__ = ["best_epoch", "set_validation", "wants_early_stopping"]

NAME = "early_stopping"  # of the callback
# Below these, what is held out says little and is missed in training.
LEAST_ROWS, LEAST_OF_CLASS = 500, 20


def wants_early_stopping(classifier: Any, codes: np.ndarray) -> bool:
    """Whether a fit holds rows out and stops by them.

    Parameters
    ----------
    classifier : CounterfactualTrainingClassifier
    codes : int ndarray of shape (n,)
        Class indices of the training rows.

    Raises
    ------
    ValueError
        Where it has to, and a class is too rare.
    """
    _, counts = np.unique(codes, return_counts=True)
    if isinstance(classifier.early_stopping, str):  # "auto"
        return len(codes) >= LEAST_ROWS and counts.min() >= LEAST_OF_CLASS
    if not classifier.early_stopping or own_split(classifier.net) is not None:
        return bool(classifier.early_stopping)
    n_held_out = int(classifier.validation_fraction * len(codes))
    if counts.min() < 2 or n_held_out < len(counts):
        allowed = (
            f"False or 'auto' for {len(codes)} rows, the rarest class with "
            f"{counts.min()}: {n_held_out} would be held out (validation_fraction), "
            "and every class has to be among them"
        )
        raise parameter_error(classifier, "early_stopping", allowed, True)
    return True


def own_split(net: Any) -> Any:
    """What a net that was given holds out by itself, or None."""
    return None if net is None else net.train_split


def set_validation(
    classifier: Any,
    net: CounterfactualNet,
    seed: int,
    *,
    stop: bool,
    encode: Callable[[Any], np.ndarray],
    classes: np.ndarray,
) -> None:
    """Hold rows out of the next training, and stop by them, or neither.

    Parameters
    ----------
    classifier : CounterfactualTrainingClassifier
    net : CounterfactualNet
        The one that is trained; that of the user stays as it is.
    seed : int
        Which rows are held out.
    stop : bool
    encode : callable
        Raw rows to model input.
    classes : ndarray of shape (n_classes,)
        Labels.
    """
    split = own_split(classifier.net)
    if split is not None:
        split = encoded_split(split, encode, classes)
    elif stop:
        fraction = classifier.validation_fraction
        split = ValidSplit(fraction, stratified=True, random_state=seed)
    net.set_params(train_split=split)
    if net.callbacks == "disable":
        return
    others = [c for c in net.callbacks or [] if not is_ours(c)]
    own = any(isinstance(unnamed(c), EarlyStopping) for c in others)
    if stop and not own:
        patience = classifier.n_iter_no_change
        others.append((NAME, EarlyStopping(patience=patience, load_best=True)))
    if others != (net.callbacks or []):
        net.set_params(callbacks=others)
        if net.initialized_:  # skorch does not look again by itself
            net.initialize_callbacks()


def encoded_split(
    split: Any, encode: Callable[[Any], np.ndarray], classes: np.ndarray
) -> Any:
    """A split whose own rows, where it brings any, are model input as all others."""
    if not (isinstance(split, partial) and "valid_ds" in split.keywords):
        return split
    try:
        X, y = data_from_dataset(split.keywords["valid_ds"])
    except AttributeError as error:
        raise ValueError(
            "The 'train_split' parameter of the net must bring its rows as "
            "predefined_split(skorch.dataset.Dataset(X, y)), in the columns and units "
            "of the training table, so that they can be encoded."
        ) from error
    return predefined_split(Dataset(encode(X), label_codes(np.asarray(y), classes)))


def unnamed(callback: Any) -> Any:
    """A callback without its name."""
    return callback[1] if isinstance(callback, tuple) else callback


def is_ours(callback: Any) -> bool:
    """Whether a callback is the one that `set_validation` adds."""
    return isinstance(callback, tuple) and callback[0] == NAME


def best_epoch(net: CounterfactualNet) -> int:
    """Number of the epoch whose weights a trained net has kept."""
    for _, rule in net.callbacks_:
        if isinstance(rule, EarlyStopping) and rule.load_best and rule.best_epoch_:
            return rule.best_epoch_
    return len(net.history)
