"""Logits of a batch, and gradients through them."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["DenseForward", "dense_layers", "forward_of", "is_altered", "is_autocast"]


# Turns a gradient at the logits into one at the input.
PullBack = Callable[[Tensor], Tensor]


def forward_of(
    model: Callable[[Tensor], Tensor],
) -> Callable[[Tensor], tuple[Tensor, PullBack]]:
    """Function that evaluates a model and can carry a gradient back.

    Parameters
    ----------
    model : callable
        Maps a batch of shape (n, *features) to logits of shape (n, n_classes).

    Returns
    -------
    forward : callable
        ``logits, pull_back = forward(x)``, where ``pull_back(gradient)`` turns a
        gradient at the logits, of shape (n, n_classes), into a new tensor in the shape
        of x.

    Notes
    -----
    A stack of dense and ReLU layers, such as `MLP`, is written out: torch's automatic
    differentiation costs more than the matrix products of so small a network. All
    other models go through it.
    """
    layers = dense_layers(model)
    return partial(through_autograd, model) if layers is None else DenseForward(layers)


def through_autograd(
    model: Callable[[Tensor], Tensor], x: Tensor
) -> tuple[Tensor, PullBack]:
    """Logits and pull-back of any model; needs enabled gradients."""
    x = x.detach().requires_grad_()
    logits = model(x.clone())  # which a layer may overwrite

    def pull_back(gradient: Tensor) -> Tensor:
        if not logits.requires_grad:
            return torch.zeros_like(x)
        (pulled,) = torch.autograd.grad(logits, x, gradient, allow_unused=True)
        # A copy: it may be one number, expanded, or belong to the model.
        return torch.zeros_like(x) if pulled is None else pulled + 0.0

    return logits.detach(), pull_back


class DenseForward:
    """Logits of dense layers with ReLU between them, and derivatives written out.

    Parameters
    ----------
    layers : list of nn.Linear
        As `dense_layers` returns them.

    Notes
    -----
    With h_0 = x, layer i computes a_i = W_i h_{i-1} + b_i and h_i = m_i * a_i, where
    the mask m_i is 1 for units with a_i > 0 and else 0; the last a are the logits.
    Masks are constant but for a set of measure 0, so that all derivatives below treat
    them as constants.
    """

    def __init__(self, layers: list[nn.Linear]):
        self.modules = layers
        self.renew()

    def renew(self) -> None:
        """Look where the weights are: they may be replaced instead of changed."""
        self.layers = [
            (layer.weight.detach(), layer.bias.detach()) for layer in self.modules
        ]

    def __call__(self, x: Tensor) -> tuple[Tensor, PullBack]:
        """Logits of shape (n, n_classes), and the function that pulls back."""
        logits, states = self.states(x)
        return logits, partial(self.pull_back, x.shape, states[1:])

    def states(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Logits, and what enters each layer: h_0, h_1, ..."""
        states = [x.flatten(1)]
        for weight, bias in self.layers[:-1]:
            states.append(torch.addmm(bias, states[-1], weight.t()).relu_())
        weight, bias = self.layers[-1]
        return torch.addmm(bias, states[-1], weight.t()), states

    def pull_back(
        self, shape: torch.Size, hidden: list[Tensor], gradient: Tensor
    ) -> Tensor:
        """Gradient at the input; `hidden` (h_1, h_2, ...) is used up."""
        gradient = gradient @ self.layers[-1][0]
        # After ReLU a state is >= 0, and its sign is the mask.
        for (weight, _), state in zip(
            self.layers[-2::-1], reversed(hidden), strict=True
        ):
            gradient = gradient.mul_(state.sign_()) @ weight
        return gradient.reshape(shape)

    def accumulate(self, states: list[Tensor], gradient: Tensor) -> None:
        """Add to ``.grad`` of weights and biases, as ``logits.backward`` would.

        Parameters
        ----------
        states : list of Tensor
            Of `states`; used up.
        gradient : Tensor of shape (n, n_classes)
            At the logits.
        """
        for i in range(len(self.layers) - 1, -1, -1):
            add_gradient(self.modules[i].weight, gradient.t() @ states[i])
            add_gradient(self.modules[i].bias, gradient.sum(0))
            if i:
                gradient = (gradient @ self.layers[i][0]).mul_(states[i].sign_())


def add_gradient(parameter: Tensor, gradient: Tensor) -> None:
    """Add to the gradient of a parameter, if it is to have one."""
    if not parameter.requires_grad:
        return
    if parameter.grad is None:
        parameter.grad = gradient
    else:
        parameter.grad.add_(gradient)


def dense_layers(model: Any) -> list[nn.Linear] | None:
    """Linear layers of a plain ReLU network; None for anything else.

    Anything else includes networks of such layers that have hooks, run in another
    precision or were changed by hand: the written-out derivatives would pass all that
    over.
    """
    if not isinstance(model, nn.Sequential) or not is_unmodified(type(model)):
        return None
    modules = list(model)
    if modules and type(modules[0]) is nn.Flatten:
        modules = modules[1:]
    linear, between = modules[::2], modules[1::2]
    layers = [m for m in linear if type(m) is nn.Linear and has_ordinary_weights(m)]
    is_dense = (
        len(layers) == len(linear) == len(between) + 1
        and all(type(m) is nn.ReLU for m in between)
        and not any(is_altered(m) for m in model.modules())
        and not nn.modules.module._has_any_global_hook()
        and not is_autocast(model)
    )
    return layers if is_dense else None


def is_autocast(model: nn.Module) -> bool:
    """Whether torch chooses other precisions for a module's layers at the moment."""
    kinds = {parameter.device.type for parameter in model.parameters()}
    return any(torch.is_autocast_enabled(kind) for kind in kinds)


def is_unmodified(kind: type[nn.Sequential]) -> bool:
    """Whether a class of stacks is called and runs as `nn.Sequential`."""
    same_forward = kind.forward is nn.Sequential.forward
    return same_forward and kind.__call__ is nn.Module.__call__


def has_ordinary_weights(layer: nn.Linear) -> bool:
    """Whether weight and bias are plain tensors without hooks on their gradients."""
    kinds = (nn.Parameter, torch.Tensor)
    parts = layer.weight, layer.bias
    return all(type(part) in kinds for part in parts) and not any(
        part._backward_hooks or part._post_accumulate_grad_hooks for part in parts
    )


def is_altered(module: nn.Module) -> bool:
    """Whether the module has hooks, or another forward than its class."""
    return bool(
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
        or "forward" in vars(module)
    )
