"""`DistributedCounterfactualNet`: one training run on several processes."""

from contextlib import contextmanager

import joblib
import torch
import torch.distributed as dist

from .solvers.search import SearchResult
from .training.net import CounterfactualNet

__all__ = ["DistributedCounterfactualNet"]


class DistributedCounterfactualNet(CounterfactualNet):
    """`CounterfactualNet` that shares its work with the other processes of a run.

    Every process gets the same data and runs the same script, started by ``torchrun``.
    Each searches its share of the counterfactuals of an epoch, and computes its share
    of every batch; the answers, logits and gradients are put together, so that all have
    the same weights, and the same ones as a single process up to rounding.

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
    order. What looks at a batch in training mode (batch norm) sees a share of it, as in
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

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Start from the data, weights and random numbers that all share."""
        if not dist.is_initialized():
            raise RuntimeError(
                f"{type(self).__name__} trains within a group of processes: start the "
                "script with torchrun and call torch.distributed.init_process_group "
                "in it, or use CounterfactualNet."
            )
        self.check_alike(X, y)
        follow_first_process(self.module_)
        super().on_train_begin(net, X=X, y=y, **kwargs)

    def check_alike(self, X, y):
        """Raise a ValueError unless all processes have the same data and seed."""
        data = (
            part.cpu().numpy() for part in self.training_data(self.get_dataset(X, y))
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

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        """One epoch; at its end all processes are in the same state again."""
        super().run_single_epoch(iterator, training, prefix, step_fn, **fit_params)
        if training:
            follow_first_process(self.module_)

    def search_counterfactuals(self, factual, target):
        """Search from a share of the factuals; the answers of all processes."""
        mine, n = share(len(factual)), len(factual)
        found = super().search_counterfactuals(factual[mine], target[mine])
        return SearchResult(*(gathered(part, n) for part in found))

    def one_stack(self):
        """Dense layers that work on a share of the rows; None for other modules."""
        dense = super().one_stack()
        return None if dense is None else SharedForward(dense)

    def slopes(self, x, target):
        """Of the own share of the rows, so that they have a graph; and the others'."""
        mine = share(len(x))
        self.sharing_.active = False
        own = super().slopes(x[mine], target[mine])
        self.sharing_.active = True
        return Gather.apply(own, len(x))

    def train_step_single(self, batch, **params):
        """Gradient of one batch, from the shares of all processes."""
        with shared_out(self.module_) as self.sharing_:
            step = super().train_step_single(batch, **params)
        average_gradients(p for _, p in self.get_all_learnable_params())
        return step


class SharedForward:
    """`DenseForward` on a share of the rows, with the logits of all of them."""

    def __init__(self, dense):
        self.dense = dense

    def renew(self):
        """Look where the weights are."""
        self.dense.renew()

    def states(self, x):
        """Logits of all rows, and what enters each layer for the own ones."""
        logits, states = self.dense.states(x[share(len(x))])
        return gathered(logits, len(x)), states

    def accumulate(self, states, gradient):
        """Add to ``.grad`` what comes from the own rows."""
        self.dense.accumulate(states, own_part(gradient))

    def slopes(self, x, target):
        """Slopes of all rows, and what led to the own ones."""
        mine = share(len(x))
        slopes, passed = self.dense.slopes(x[mine], target[mine])
        return gathered(slopes, len(x)), passed

    def accumulate_slopes(self, passed, gradient):
        """Add to ``.grad`` what comes from the own slopes."""
        self.dense.accumulate_slopes(passed, own_part(gradient))


class Gather(torch.autograd.Function):
    """Rows of all processes; back goes the gradient of the own ones."""

    @staticmethod
    def forward(ctx, part, n):
        """All `n` rows."""
        return gathered(part, n)

    @staticmethod
    def backward(ctx, gradient):
        """Own rows of the gradient, which is the same in all processes."""
        return own_part(gradient), None


class Sharing:
    """Whether a module computes a share of its rows at the moment, or all of them."""

    active = True


@contextmanager
def shared_out(module):
    """Let a module compute a share of the rows it is given, and return all of them."""
    n_rows, sharing = [], Sharing()

    def give(module, args, kwargs):
        if not sharing.active:
            return None
        n = next(len(x) for x in (*args, *kwargs.values()) if torch.is_tensor(x))
        n_rows.append(n)
        mine = share(n)
        args = tuple(x[mine] if torch.is_tensor(x) else x for x in args)
        return args, {
            k: x[mine] if torch.is_tensor(x) else x for k, x in kwargs.items()
        }

    def take(module, args, output):
        if not sharing.active:
            return None
        return Gather.apply(output, n_rows.pop())

    handles = [
        module.register_forward_pre_hook(give, with_kwargs=True),
        module.register_forward_hook(take),
    ]
    try:
        yield sharing
    finally:
        for handle in handles:
            handle.remove()


def largest_share(n):
    """Rows of a process; the last ones may have fewer."""
    return -(-n // dist.get_world_size())


def share(n):
    """Which of `n` rows this process works on."""
    size = largest_share(n)
    return slice(min(dist.get_rank() * size, n), min((dist.get_rank() + 1) * size, n))


def gathered(part, n):
    """All `n` rows, of which every process brings its share."""
    size = largest_share(n)
    mine = part.detach().new_zeros((size, *part.shape[1:]))
    mine[: len(part)] = part.detach()
    whole = mine.new_empty((size * dist.get_world_size(), *part.shape[1:]))
    dist.all_gather_single(whole, mine)
    return whole[:n]


def own_part(gradient):
    """Gradient of the own rows, scaled since gradients of parameters are averaged."""
    return gradient[share(len(gradient))] * dist.get_world_size()


def average_gradients(parameters):
    """Replace gradients by their mean over the processes.

    The mean, not the sum: what a loss takes from the parameters themselves, such as a
    penalty, is there in every process.
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    parts = flat.div_(dist.get_world_size()).split([g.numel() for g in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))


def follow_first_process(module):
    """Take over weights, buffers and random state of the first process."""
    for value in module.state_dict().values():
        dist.broadcast(value, src=0)
    state = [torch.get_rng_state()]
    dist.broadcast_object_list(state, src=0)
    torch.set_rng_state(state[0])
