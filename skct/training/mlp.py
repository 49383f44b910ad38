"""`MLP`: the default network."""

from collections.abc import Sequence
from math import prod
from typing import Any

from torch import nn

from ..utils.validation import is_integer, parameter_error

__all__ = ["MLP"]


ACTIVATIONS = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
}


class MLP(nn.Sequential):
    """Multilayer perceptron that maps a batch to logits.

    Parameters
    ----------
    n_features_in : int or tuple of int
        Number of inputs, or shape of one input (flattened). Set by the net.
    n_classes : int
        Number of logits, two for binary data. Set by the net.
    hidden_layer_sizes : sequence of int, default=(32,)
        Width of each hidden layer; empty for a linear model.
    activation : str, default="relu"
        "relu", "tanh", "sigmoid", "gelu", "silu" or "softplus".

    Examples
    --------
    >>> import torch
    >>> from skct import MLP
    >>> MLP(4, 3)(torch.zeros(5, 4)).shape
    torch.Size([5, 3])
    """

    def __init__(
        self,
        n_features_in: int | tuple[int, ...],
        n_classes: int,
        *,
        hidden_layer_sizes: Sequence[int] = (32,),
        activation: str = "relu",
    ):
        if not (isinstance(activation, str) and activation in ACTIVATIONS):
            allowed = f"one of {', '.join(repr(name) for name in ACTIVATIONS)}"
            raise parameter_error(self, "activation", allowed, activation)
        shape = n_features_in if isinstance(n_features_in, tuple) else (n_features_in,)
        if not are_sizes(shape):
            allowed = "an integer >= 1 or a tuple of them"
            raise parameter_error(self, "n_features_in", allowed, n_features_in)
        if not are_sizes([n_classes]):
            raise parameter_error(self, "n_classes", "an integer >= 1", n_classes)
        if not are_sizes(hidden_layer_sizes):
            allowed = "a sequence of integers >= 1, such as (32,)"
            raise parameter_error(
                self, "hidden_layer_sizes", allowed, hidden_layer_sizes
            )
        layers: list[nn.Module] = [nn.Flatten()] if len(shape) > 1 else []
        width = prod(shape)
        for size in hidden_layer_sizes:
            layers += [nn.Linear(width, size), ACTIVATIONS[activation]()]
            width = size
        super().__init__(*layers, nn.Linear(width, n_classes))


def are_sizes(values: Any) -> bool:
    """Whether all of a sequence are integers >= 1."""
    if not hasattr(values, "__iter__"):
        return False
    return all(is_integer(size) and size >= 1 for size in values)
