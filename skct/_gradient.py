"""Logits of a batch, and the gradient that comes back through them to the input."""

from functools import partial

import torch
from torch import nn

__all__ = ["dense_layers", "forward_of"]


def forward_of(model):
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


def through_autograd(model, x):
    """Logits and pull-back of any model; needs enabled gradients."""
    x = x.detach().requires_grad_()
    logits = model(x.clone())  # which a layer may overwrite

    def pull_back(gradient):
        if not logits.requires_grad:
            return torch.zeros_like(x)
        (pulled,) = torch.autograd.grad(logits, x, gradient, allow_unused=True)
        # A copy: it may be one number, expanded, or belong to the model.
        return torch.zeros_like(x) if pulled is None else pulled + 0.0

    return logits.detach(), pull_back


class DenseForward:
    """Logits and pull-back of dense layers with ReLU between them."""

    def __init__(self, layers):
        self.layers = [(layer.weight.detach(), layer.bias.detach()) for layer in layers]

    def __call__(self, x):
        """Logits of shape (n, n_classes), and the function that pulls back."""
        state, hidden = x.flatten(1), []
        for weight, bias in self.layers[:-1]:
            state = torch.addmm(bias, state, weight.t()).relu_()
            hidden.append(state)
        weight, bias = self.layers[-1]
        logits = torch.addmm(bias, state, weight.t())
        return logits, partial(self.pull_back, x.shape, hidden)

    def pull_back(self, shape, hidden, gradient):
        """Gradient at the input; `hidden` is used up."""
        gradient = gradient @ self.layers[-1][0]
        for (weight, _), state in zip(
            self.layers[-2::-1], reversed(hidden), strict=True
        ):
            gradient = gradient.mul_(state.sign_()) @ weight
        return gradient.reshape(shape)


def dense_layers(model):
    """Linear layers of a plain ReLU network; None for anything else."""
    if not isinstance(model, nn.Sequential) or not is_untouched(type(model)):
        return None
    modules = list(model)
    if modules and type(modules[0]) is nn.Flatten:
        modules = modules[1:]
    linear, between = modules[::2], modules[1::2]
    plain = (
        len(linear) == len(between) + 1
        and all(type(m) is nn.Linear and has_plain_weights(m) for m in linear)
        and all(type(m) is nn.ReLU for m in between)
        and not any(is_altered(m) for m in model.modules())
        and not nn.modules.module._has_any_global_hook()
        and not torch.is_autocast_enabled(linear[0].weight.device.type)
    )
    return linear if plain else None


def is_untouched(kind):
    """Whether a class of stacks is called and runs as `nn.Sequential`."""
    runs_plainly = kind.forward is nn.Sequential.forward
    return runs_plainly and kind.__call__ is nn.Module.__call__


def has_plain_weights(layer):
    """Whether a layer has weight and bias, and they are ordinary numbers."""
    kinds = (nn.Parameter, torch.Tensor)
    return all(type(part) in kinds for part in (layer.weight, layer.bias))


def is_altered(module):
    """Whether something listens to the module's calls, or stands in for them."""
    return bool(
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
        or "forward" in vars(module)
    )
