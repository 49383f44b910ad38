"""`MLP`: the default network."""

from math import prod

from torch import nn

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
        self, n_features_in, n_classes, *, hidden_layer_sizes=(32,), activation="relu"
    ):
        if activation not in ACTIVATIONS:
            allowed = ", ".join(repr(name) for name in ACTIVATIONS)
            raise ValueError(
                f"The 'activation' parameter of MLP must be one of {allowed}. "
                f"Got {activation!r} instead."
            )
        shape = n_features_in if isinstance(n_features_in, tuple) else (n_features_in,)
        layers, width = [nn.Flatten()] if len(shape) > 1 else [], prod(shape)
        for size in hidden_layer_sizes:
            layers += [nn.Linear(width, size), ACTIVATIONS[activation]()]
            width = size
        super().__init__(*layers, nn.Linear(width, n_classes))
