"""Trains the cases below in every process of a run, for `test_scaling.py`.

torchrun --standalone --nproc_per_node 2 tests/train_distributed.py FOLDER
"""

import sys
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from slope_objective import Slope
from torch import nn

from skct import CounterfactualNet, CounterfactualTrainingClassifier
from skct.distributed import DistributedCounterfactualNet

# SGD: Adam would hide a gradient that is too large by a factor.
PLAIN = {"optimizer": torch.optim.SGD, "lr": 0.1, "max_epochs": 5, "batch_size": 32}


class Penalised:
    """A loss with a part that comes from the weights, not from the rows."""

    def get_loss(self, y_pred, y_true, X=None, training=False):
        loss = super().get_loss(y_pred, y_true, X, training)
        return loss + 0.01 * sum(p.square().sum() for p in self.module_.parameters())


class Smooth(nn.Sequential):
    """A module that goes through autograd."""

    def __init__(self):
        super().__init__(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 3))


class Normalised(nn.Sequential):
    """A module with a state beside its weights."""

    def __init__(self):
        super().__init__(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


class Searching(CounterfactualNet):
    """A net that notes how many rows it searches from."""

    def _search_with(self, factual, target, *args, **kwargs):
        """As ever."""
        self.noted_ = len(factual)
        return super()._search_with(factual, target, *args, **kwargs)


class Noting(DistributedCounterfactualNet, Searching):
    """One that is given its share to search, and so notes that."""


CASES = {
    "dense layers": {},
    "any module": {"module": Smooth},
    "weighted classes": {"criterion__weight": torch.tensor([1.0, 3.0, 0.5])},
    "burn-in": {"burn_in": 0.5},
    "objective of the paper": {"objective": "paper"},
    "slopes": {"objective": Slope()},
    "penalty": {"mixin": Penalised, "module": Smooth},
}


def data(n=203):
    """Three classes; an odd number of rows, so that shares differ."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, n)
    return (rng.normal(size=(n, 3)) + 2.0 * y[:, None]).astype("float32"), y


def train(kind, seed=0, mixin=None, **params):
    """A net of the given kind on one of the cases."""
    torch.manual_seed(seed)
    kind = kind if mixin is None else type("Mixed", (mixin, kind), {})
    net = kind(**PLAIN | {"random_state": 0} | params)
    return net.fit(*data())


def train_classifier(kind):
    """A classifier around a net of the given kind."""
    clf = CounterfactualTrainingClassifier(kind(**PLAIN), random_state=0)
    return clf.fit(*data())


def numbers(net):
    """Everything that was learnt, as one vector, and the training loss."""
    values = [value.double().flatten() for value in net.module_.state_dict().values()]
    return torch.cat(values).numpy(), np.array(net.history[:, "train_loss"])


def message(function, *args, **params):
    """What an error says."""
    try:
        function(*args, **params)
    except ValueError as error:
        return str(error)
    return ""


def main():
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    rank, out = dist.get_rank(), {}
    for name, params in CASES.items():
        # Other initial weights and shuffling elsewhere: those of the first count.
        net = train(DistributedCounterfactualNet, seed=rank, **params)
        out[name], out[f"loss of {name}"] = numbers(net)
    net = train(DistributedCounterfactualNet, seed=rank, module=Normalised)
    out["batch norm"], _ = numbers(net)
    clf = train_classifier(DistributedCounterfactualNet)
    out["classifier"], _ = numbers(clf.net_)
    own = train(Noting, objective="paper", n_counterfactuals=61).noted_
    np.save(Path(sys.argv[1]) / f"searched by {rank}.npy", own)
    other = message(train, DistributedCounterfactualNet, random_state=rank)
    out["other seeds"] = np.array(other)
    diverged = train(DistributedCounterfactualNet, lr=1e30)
    out["epochs until infinity"] = np.array(len(diverged.history))
    np.savez(Path(sys.argv[1]) / f"{rank}.npz", **out)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
