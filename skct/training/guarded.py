"""`GuardedNet`: a skorch net that never ends with weights that are not finite."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Self

import torch
from skorch import NeuralNetClassifier
from skorch.utils import data_from_dataset, to_tensor
from torch import Tensor, nn

from ..exceptions import DivergenceWarning
from ..utils.caller import warn

__all__ = ["N_JUDGED", "GuardedNet", "LossNotFinite"]

LARGEST_LOGIT = 1e30  # float32 ends at 3.4e38
N_JUDGED = 4096  # training rows whose logits tell whether weights are sound


class LossNotFinite(Exception):
    """Training met a loss or a weight that is not finite."""


class GuardedNet(NeuralNetClassifier):
    """Stops on a loss that is not finite, and keeps the weights of the epoch before.

    Also names the remedy where a batch is too small for the module, and gives no loss
    to a batch without weight.
    """

    def notify(self, method_name: str, **cb_kwargs: Any) -> None:
        """Call the callbacks; some index the last epoch although there is none."""
        try:
            super().notify(method_name, **cb_kwargs)
        except IndexError:
            # Callbacks index history[-1], which is empty after 0 epochs.
            if self.history or method_name != "on_train_end":
                raise

    def fit_loop(
        self, X: Any, y: Any = None, epochs: int | None = None, **fit_params: Any
    ) -> Self:
        """Train; on a loss that is not finite stop and keep the last good weights."""
        try:
            return super().fit_loop(X, y, epochs, **fit_params)
        except LossNotFinite:
            # The optimiser's moments may hold infinity as well: it starts afresh.
            self.module_.load_state_dict(self.last_good_)
            self.module_.zero_grad()
            self._initialize_optimizer()
            if self.history:
                self.history.pop()
            warn(
                f"The loss was no longer finite in epoch {len(self.history) + 1}; "
                f"training stopped, and the weights after epoch {len(self.history)} "
                "are kept. Lower the learning rate (lr), raise lambda_reg, lower "
                "lambda_div, or scale the inputs.",
                DivergenceWarning,
            )
            return self
        finally:
            if hasattr(self, "last_good_"):
                del self.last_good_

    def run_single_epoch(
        self,
        iterator: Any,
        training: bool,
        prefix: str,
        step_fn: Callable,
        **fit_params: Any,
    ) -> None:
        """One epoch of skorch; in training, its weights are checked at the end."""
        if not training:
            super().run_single_epoch(iterator, training, prefix, step_fn, **fit_params)
            return
        if not len(iterator):
            raise ValueError(
                f"No batch is left of {len(iterator.dataset)} training rows: "
                f"batch_size={self.batch_size}, and iterator_train__drop_last drops "
                "what is no full batch. Lower batch_size."
            )
        self.last_good_ = {
            name: value.clone() for name, value in self.module_.state_dict().items()
        }
        self._run_training_epoch(iterator, prefix, step_fn, **fit_params)
        self._check_weights(iterator.dataset)

    def _run_training_epoch(
        self, iterator: Any, prefix: str, step_fn: Callable, **fit_params: Any
    ) -> None:
        """One epoch of training, as skorch has it."""
        super().run_single_epoch(iterator, True, prefix, step_fn, **fit_params)

    def _check_weights(self, dataset: Any) -> None:
        """Accept an epoch only if what was finite still is, and so are some logits."""
        X, _ = data_from_dataset(dataset)
        largest = self._logits_of(X[:N_JUDGED]).abs().max()
        finite = all(  # running statistics as well; but a mask may hold infinity
            value.isfinite().all() or not self.last_good_[name].isfinite().all()
            for name, value in self.module_.state_dict().items()
        )
        if not (finite and largest < LARGEST_LOGIT):
            raise LossNotFinite

    def _logits_of(self, rows: Any) -> Tensor:
        """Logits of rows of an array, in eval mode, without a graph."""
        raise NotImplementedError

    def train_step(self, batch: Any, **fit_params: Any) -> dict[str, Tensor]:
        """Step; says what to do where a module cannot take a single row."""
        try:
            return super().train_step(batch, **fit_params)
        except ValueError as error:
            if len(batch[1]) > 1:
                raise
            raise ValueError(
                "The module cannot be trained on a batch of one row, such as is left "
                f"over here: {error}. Set iterator_train__drop_last=True, or another "
                "batch_size."
            ) from error

    def get_loss(
        self, y_pred: Tensor, y_true: Any, *args: Any, **kwargs: Any
    ) -> Tensor:
        """Loss; 0, not 0 / 0, where all rows are of classes of weight 0."""
        loss = super().get_loss(y_pred, y_true, *args, **kwargs)
        if not isinstance(self.criterion_, (nn.CrossEntropyLoss, nn.NLLLoss)):
            return loss
        weight = self.criterion_.weight
        if weight is None or weight[to_tensor(y_true, device=self.device)].any():
            return loss
        return 0 * y_pred.sum()  # keeps the graph, so that backward still works

    @staticmethod
    def _check_finite(loss: Tensor) -> None:
        """Stop before a loss that is not finite reaches the weights."""
        if not math.isfinite(torch.as_tensor(loss).item()):
            raise LossNotFinite
