"""Logits of a batch, and gradients through them, of first and of second order."""

import math
from functools import partial

import torch
from torch import nn

__all__ = ["DenseForward", "dense_layers", "forward_of", "is_altered", "is_autocast"]


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
    """Logits of dense layers with ReLU between them, and derivatives written out.

    A unit is at work or it is not, so that the slope at the input is a product of
    matrices, and what depends on slopes has simple derivatives, too.
    """

    def __init__(self, layers):
        self.modules = layers
        self.renew()

    def renew(self):
        """Look where the weights are: they may be replaced instead of changed."""
        self.layers = [
            (layer.weight.detach(), layer.bias.detach()) for layer in self.modules
        ]

    def __call__(self, x):
        """Logits of shape (n, n_classes), and the function that pulls back."""
        logits, states = self.states(x)
        return logits, partial(self.pull_back, x.shape, states[1:])

    def states(self, x):
        """Logits, and what enters each layer."""
        states = [x.flatten(1)]
        for weight, bias in self.layers[:-1]:
            states.append(torch.addmm(bias, states[-1], weight.t()).relu_())
        weight, bias = self.layers[-1]
        return torch.addmm(bias, states[-1], weight.t()), states

    def pull_back(self, shape, hidden, gradient):
        """Gradient at the input; `hidden` is used up."""
        gradient = gradient @ self.layers[-1][0]
        for (weight, _), state in zip(
            self.layers[-2::-1], reversed(hidden), strict=True
        ):
            gradient = gradient.mul_(state.sign_()) @ weight
        return gradient.reshape(shape)

    def accumulate(self, states, gradient):
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

    def slopes(self, x, target):
        """Gradients of the targets' log-odds at some rows.

        Parameters
        ----------
        x : Tensor of shape (n, *features)
        target : int64 Tensor of shape (n,)

        Returns
        -------
        slopes : Tensor of shape (n, n_features)
        passed : tuple
            For `accumulate_slopes`.
        """
        logits, states = self.states(x)
        masks = [state.sign() for state in states[1:]]
        behind = [log_odds_gradient(logits, target)]
        for (weight, _), mask in zip(self.layers[:0:-1], masks[::-1], strict=True):
            behind.append((behind[-1] @ weight).mul_(mask))
        return behind[-1] @ self.layers[0][0], (states, masks, behind[::-1])

    def accumulate_slopes(self, passed, gradient):
        """Add to ``.grad`` what a function of the slopes brings there.

        Parameters
        ----------
        passed : tuple
            Of `slopes`; used up.
        gradient : Tensor of shape (n, n_features)
            Of the function, at the slopes.
        """
        states, masks, behind = passed
        for i, layer in enumerate(self.modules):
            add_gradient(layer.weight, behind[i].t() @ gradient)
            gradient = gradient @ self.layers[i][0].t()
            if i < len(masks):
                gradient.mul_(masks[i])
        others = behind[-1].clamp_max(0)  # minus a softmax, which bends with the logits
        if others.shape[1] > 2:
            gradient = gradient + (others * gradient).sum(1, keepdim=True)
            self.accumulate(states, others * gradient)


def log_odds_gradient(logits, target):
    """Gradient of the targets' log-odds: 1 there, minus a softmax over the others."""
    others = logits.scatter(1, target[:, None], -math.inf)
    return others.softmax(1).neg_().scatter_(1, target[:, None], 1.0)


def add_gradient(parameter, gradient):
    """Add to the gradient of a parameter, if it is to have one."""
    if not parameter.requires_grad:
        return
    if parameter.grad is None:
        parameter.grad = gradient
    else:
        parameter.grad.add_(gradient)


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
        and not is_autocast(model)
    )
    return linear if plain else None


def is_autocast(model):
    """Whether torch chooses other precisions for a module's layers at the moment."""
    kinds = {parameter.device.type for parameter in model.parameters()}
    return any(torch.is_autocast_enabled(kind) for kind in kinds)


def is_untouched(kind):
    """Whether a class of stacks is called and runs as `nn.Sequential`."""
    runs_plainly = kind.forward is nn.Sequential.forward
    return runs_plainly and kind.__call__ is nn.Module.__call__


def has_plain_weights(layer):
    """Whether weight and bias are ordinary numbers, and nothing hears of gradients."""
    kinds = (nn.Parameter, torch.Tensor)
    parts = layer.weight, layer.bias
    return all(type(part) in kinds for part in parts) and not any(
        part._backward_hooks or part._post_accumulate_grad_hooks for part in parts
    )


def is_altered(module):
    """Whether something listens to the module's calls, or stands in for them."""
    return bool(
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
        or "forward" in vars(module)
    )
