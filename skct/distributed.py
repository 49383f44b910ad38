"""`DistributedCounterfactualNet`: one training run on several processes."""

from collections.abc import Callable
from typing import Any

import joblib
import torch
import torch.distributed as dist
from skorch import NeuralNet
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from .solvers.search import SearchResult
from .training.net import CounterfactualNet
from .training.passes import DensePass, ModulePass
from .utils.model import evaluation_mode

__all__ = ["DistributedCounterfactualNet"]


class DistributedCounterfactualNet(CounterfactualNet):
    """`CounterfactualNet` that shares its work with the other processes of a run.

    Every process gets the same data and runs the same script, started by ``torchrun``.
    Each searches its part of the counterfactuals of an epoch, and computes its part of
    every batch. Counterfactuals and outputs are gathered, gradients averaged, so that
    all end with the same weights: those of a single process, up to rounding.

    Takes the parameters of `CounterfactualNet`, and goes into
    `CounterfactualTrainingClassifier` as its `net`. `batch_size` is that of the whole
    run. On CUDA give each process its own `device`.

    Raises
    ------
    RuntimeError
        In `fit`, if ``torch.distributed.init_process_group`` has not been called.
    ValueError
        In `fit`, if data or `random_state` differ between the processes.

    Notes
    -----
    Loss and its gradient at the logits are computed on whole batches, everywhere: they
    are exact for any criterion and any number of rows. Only float sums run in another
    order. Layers that depend on a whole batch (batch norm) see a part of it, as in
    `torch.nn.parallel.DistributedDataParallel`; its statistics are those of the first
    process. Dropout draws another mask than in a single process.

    Only `fit` and `partial_fit` talk to the other processes: predict, explain or save
    in one of them, or in all. Processes should run on machines of one kind, since
    callbacks that stop a run have to agree.

    Examples
    --------
    A whole script, for ``torchrun --standalone --nproc_per_node 2 train.py``:

    >>> import torch.distributed as dist
    >>> from sklearn.datasets import load_iris
    >>> from skct import CounterfactualTrainingClassifier
    >>> from skct.distributed import DistributedCounterfactualNet
    >>> def main():
    ...     dist.init_process_group("gloo")
    ...     X, y = load_iris(return_X_y=True)
    ...     net = DistributedCounterfactualNet(max_epochs=10)
    ...     clf = CounterfactualTrainingClassifier(net, random_state=0).fit(X, y)
    ...     if dist.get_rank() == 0:
    ...         print(clf.explain(X[:3]))
    ...     dist.destroy_process_group()
    """

    def on_train_begin(
        self, net: NeuralNet, X: Any = None, y: Any = None, **kwargs: Any
    ) -> None:
        """Start from the data, weights and random numbers that all share."""
        if not dist.is_initialized():
            raise RuntimeError(
                f"{type(self).__name__} trains within a group of processes: start the "
                "script with torchrun and call torch.distributed.init_process_group "
                "in it, or use CounterfactualNet."
            )
        self._check_alike(X, y)
        follow_first_process(self.module_)
        super().on_train_begin(net, X=X, y=y, **kwargs)

    def _check_alike(self, X: Any, y: Any) -> None:
        """Raise a ValueError unless all processes have the same data and seed."""
        data = (
            part.cpu().numpy() for part in self._training_data(self.get_dataset(X, y))
        )
        mine = [self.random_state, *map(joblib.hash, data)]
        found = [None] * dist.get_world_size()
        dist.all_gather_object(found, mine)
        if any(other != found[0] for other in found):
            raise ValueError(
                "Data or random_state differ between the processes. Each needs all "
                "rows, in the same order, and the same integer random_state: "
                f"{type(self).__name__} shares out the work, not the data."
            )

    def _run_training_epoch(
        self, iterator: Any, prefix: str, step_fn: Callable, **fit_params: Any
    ) -> None:
        """One epoch; at its end all processes are in the same state again."""
        self.parallel_ = ParallelPass(self.module_, self.infer, self.logits)
        try:
            super()._run_training_epoch(iterator, prefix, step_fn, **fit_params)
        finally:
            del self.parallel_  # it cannot be pickled
        follow_first_process(self.module_)

    def _search_with(
        self, factual: Tensor, target: Tensor, *args: Any, **kwargs: Any
    ) -> SearchResult:
        """Search from the own part of the factuals; the results of all processes."""
        mine, n = own_rows(len(factual)), len(factual)
        found = super()._search_with(factual[mine], target[mine], *args, **kwargs)
        return SearchResult(*(gathered(part, n) for part in found))

    def _passes(self, dense: DensePass | None, fit_params: dict) -> "ParallelPass":
        """Each process computes its rows; torch averages the gradients."""
        return self.parallel_

    def train_step_single(
        self,
        batch: Any,
        counterfactuals: Any = None,
        dense: DensePass | None = None,
        **fit_params: Any,
    ) -> dict[str, Tensor]:
        """Gradient of one batch, each process with its part of the rows."""
        if counterfactuals is not None:
            return super().train_step_single(batch, counterfactuals, **fit_params)
        X, y = batch
        self._set_training(True)
        y_pred = self.parallel_.outputs(X, **fit_params)
        loss = self.get_loss(y_pred, y, X=X, training=True)
        self._check_finite(loss)
        self.parallel_.backward(loss)
        return {"loss": loss.detach(), "y_pred": y_pred.detach()}


class ParallelPass(ModulePass):
    """Passes on the own part of the rows, with the outputs of all of them.

    Every process computes the same loss on the outputs of all rows, and its gradient
    flows back to the own ones alone; `DistributedDataParallel` averages over processes.
    """

    def __init__(
        self,
        module: nn.Module,
        infer: Callable[..., Tensor],
        logits: Callable[[Tensor], Tensor],
    ):
        super().__init__(module, infer, logits)
        # Batch-norm statistics differ within an epoch; the first process's are kept.
        self.parallel = DistributedDataParallel(
            Inference(module, infer), forward_sync_buffers=False
        )

    def outputs(self, X: Any, **fit_params: Any) -> Tensor:
        """Outputs of a batch, through the module that averages gradients."""
        mine, n = own_rows(len(X)), len(X)
        params = {
            k: v[mine] if torch.is_tensor(v) else v for k, v in fit_params.items()
        }
        return Gather.apply(self.parallel(X[mine], **params), n)

    def forward(self, X: Any, rows: Tensor, **fit_params: Any) -> tuple[Tensor, Tensor]:
        """Outputs of a batch, and of other rows in eval mode."""
        y_pred, mine = self.outputs(X, **fit_params), own_rows(len(rows))
        with evaluation_mode(self.module):
            return y_pred, Gather.apply(self.infer(rows[mine]), len(rows))

    def slopes(self, x: Tensor, target: Tensor) -> Tensor:
        """Gradients of the targets' log-odds at some rows, with a graph."""
        mine = own_rows(len(x))
        return Gather.apply(super().slopes(x[mine], target[mine]), len(x))


class Inference(nn.Module):
    """A module as a net evaluates it, for `DistributedDataParallel`."""

    def __init__(self, module: nn.Module, infer: Callable[..., Tensor]):
        super().__init__()
        self.module, self.infer = module, infer

    def forward(self, x: Tensor, **fit_params: Any) -> Tensor:
        """Output for rows."""
        return self.infer(x, **fit_params)


class Gather(torch.autograd.Function):
    """Rows of all processes; the gradient of the own ones flows back.

    Scaled, since gradients of parameters are averaged, not summed.
    """

    @staticmethod
    def forward(ctx: Any, part: Tensor, n: int) -> Tensor:
        """All `n` rows."""
        return gathered(part, n)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Own rows of the gradient, which is the same in all processes."""
        mine = gradient[own_rows(len(gradient))]
        return mine * dist.get_world_size(), None


def own_rows(n: int) -> slice:
    """Which of `n` rows this process works on; the last one may have fewer."""
    size = -(-n // dist.get_world_size())
    return slice(min(dist.get_rank() * size, n), min((dist.get_rank() + 1) * size, n))


def gathered(part: Tensor, n: int) -> Tensor:
    """All `n` rows, of which every process brings its own."""
    size = -(-n // dist.get_world_size())
    mine = part.detach().new_zeros((size, *part.shape[1:]))
    mine[: len(part)] = part.detach()
    whole = mine.new_empty((size * dist.get_world_size(), *part.shape[1:]))
    dist.all_gather_single(whole, mine)
    return whole[:n]


def follow_first_process(module: nn.Module) -> None:
    """Take over weights, buffers and random state of the first process."""
    for value in module.state_dict().values():
        dist.broadcast(value, src=0)
    state = [torch.get_rng_state()]
    dist.broadcast_object_list(state, src=0)
    torch.set_rng_state(state[0])
