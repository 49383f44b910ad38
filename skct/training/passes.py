"""Forward and backward passes of a training step: any module, or dense layers by hand.

Both evaluate a batch in training mode and the rows of its pairs in eval mode, and bring
the gradient of a loss on these outputs to the weights. The loss itself is always
differentiated by autograd.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from skorch.utils import to_tensor
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from ..losses import log_odds
from ..solvers.forward import DenseForward
from ..utils.model import evaluation_mode

__all__ = ["DensePass", "ModulePass"]


class ModulePass:
    """Passes of any module, by autograd.

    Parameters
    ----------
    module : torch.nn.Module
    infer : callable
        Output for rows, as `skorch.NeuralNet.infer`.
    logits : callable
        Logits for rows.
    """

    def __init__(
        self,
        module: nn.Module,
        infer: Callable[..., Tensor],
        logits: Callable[[Tensor], Tensor],
    ):
        self.module, self.infer, self.logits = module, infer, logits
        self.differentiated_twice = False

    def forward(self, X: Any, rows: Tensor, **fit_params: Any) -> tuple[Tensor, Tensor]:
        """Outputs of a batch, in the mode it finds, and of other rows in eval mode."""
        y_pred = self.infer(X, **fit_params)
        with evaluation_mode(self.module):
            return y_pred, self.infer(rows)

    def slopes(self, x: Tensor, target: Tensor) -> Tensor:
        """Gradients of the targets' log-odds at some rows, with a graph."""
        self.differentiated_twice = True
        x = x.detach().requires_grad_()
        # The other kernels of attention have no second derivative.
        math_only = sdpa_kernel(SDPBackend.MATH)
        with evaluation_mode(self.module), math_only:
            odds = log_odds(self.logits(x), target)
        (gradient,) = torch.autograd.grad(
            odds.sum(), x, create_graph=True, materialize_grads=True
        )
        return gradient.flatten(1)

    def backward(self, loss: Tensor) -> None:
        """Add to ``.grad``; says what to do where there is no second derivative."""
        try:
            loss.backward()
        except RuntimeError as error:  # torch has no class of its own for this
            signs = "derivative for", "twice", "Double back"
            known = any(sign in str(error) for sign in signs)
            if not (self.differentiated_twice and known):
                raise
            raise ValueError(
                "The module has no second derivatives, which this objective needs for "
                f"its penalty on slopes: {error}. Take another objective, such as "
                "objective='teacher'."
            ) from error


class DensePass(ModulePass):
    """Passes of a plain ReLU network, written out: several times as fast.

    Logits are a leaf tensor for autograd, so that only the few operations of the loss
    have a graph; from there `DenseForward` brings gradients to the weights. Slopes go
    through autograd.

    Parameters
    ----------
    module, infer, logits
        As in `ModulePass`.
    layers : list of torch.nn.Linear
        Those of the module, with a ReLU between each two, and nothing else.
    """

    def __init__(
        self,
        module: nn.Module,
        infer: Callable[..., Tensor],
        logits: Callable[[Tensor], Tensor],
        layers: list,
    ):
        super().__init__(module, infer, logits)
        self.dense = DenseForward(layers)

    def forward(self, X: Any, rows: Tensor, **fit_params: Any) -> tuple[Tensor, Tensor]:
        """Outputs of a batch and of other rows; dense layers know no mode."""
        self.dense.renew()  # an optimiser may replace weights instead of changing them
        X = to_tensor(X, device=rows.device)
        logits, self.states = self.dense.states(torch.cat([X, rows]))
        self.leaf = logits.requires_grad_()
        return self.leaf.split([len(X), len(rows)])

    def backward(self, loss: Tensor) -> None:
        """Add to ``.grad`` of the weights, as ``loss.backward`` does for a module."""
        super().backward(loss)
        if self.leaf.grad is not None:  # else the loss does not depend on it
            self.dense.accumulate(self.states, self.leaf.grad)
        del self.states, self.leaf
