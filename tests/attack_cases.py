"""Models, rows and wrong input on which attacks are tested."""

import random

import numpy as np
import torch
from sklearn.datasets import make_blobs
from sklearn.preprocessing import StandardScaler
from torch import nn

WEIGHTS = np.float32([[1.0, -2.0, 0.5], [0.0, 3.0, -1.0]])
DIRECTION = WEIGHTS[1] - WEIGHTS[0]  # of class 1; no entry is zero
GOOD = {"X": [[1.0, 2.0, 3.0]], "y": [0]}
BAD_BATCHES = {
    "raw table": ({"X": [["clerk", "cook", "nurse"]]}, "feature_space_.encode"),
    "one row flat": ({"X": [1.0, 2.0, 3.0]}, r"shape \(n, \*features\).*Got \(3,\)"),
    "no rows": ({"X": np.zeros((0, 3)), "y": []}, "at least one row"),
    "missing": ({"X": [[np.nan, 0.0, 0.0]]}, "must be finite.*impute"),
    "labels": ({"y": ["no"]}, "class indices.*np.searchsorted"),
    "lengths": ({"y": [0, 1]}, r"1 class indices.*shape \(2,\)"),
    "unknown class": ({"y": [2]}, "from 0 to 1.*Got '2 to 2'"),
    "one logit": ({"model": lambda x: x[:, :1]}, "one logit per class"),
}


def linear(x):
    return x.flatten(1) @ torch.from_numpy(WEIGHTS).T


def margin(X, y):
    """Signed distance of linear logits to the boundary times the norm of weights."""
    return (2 * y - 1) * (X @ DIRECTION)


def make_rows(n=200, seed=0):
    X = np.random.default_rng(seed).normal(size=(n, 3)).astype(np.float32)
    return X, np.random.default_rng(seed + 1).integers(2, size=n)


def trained(n_classes=2):
    """A small network that is neither perfect nor robust, and its rows."""
    X, y = make_blobs(400, 6, centers=n_classes, cluster_std=5.0, random_state=1)
    X = StandardScaler().fit_transform(X).astype(np.float32)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, n_classes))
    optimizer = torch.optim.Adam(net.parameters(), lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(torch.tensor(X)), torch.tensor(y)).backward()
        optimizer.step()
    optimizer.zero_grad()
    return net, X, y


def traces(net):
    """What an attack must leave alone."""
    return (
        [module.training for module in net.modules()],
        {name: value.clone() for name, value in net.state_dict().items()},
        torch.get_rng_state(),
        str(np.random.get_state()),  # noqa: NPY002
        random.getstate(),
    )


def assert_leaves_no_trace(attack):
    """Check modes, weights, gradients, input and the global random states."""
    net = nn.Sequential(
        nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.5), nn.Linear(8, 2)
    )
    net.train()
    net[3].eval()
    modes, state, *randoms = traces(net)
    X, y = make_rows()
    X_before = X.copy()
    with torch.no_grad():
        attack(net, X, y)
    modes_after, state_after, *randoms_after = traces(net)
    assert modes_after == modes
    assert all(torch.equal(state_after[key], state[key]) for key in state)
    assert all(p.grad is None and p.requires_grad for p in net.parameters())
    assert torch.equal(randoms_after[0], randoms[0])
    assert randoms_after[1:] == randoms[1:]
    assert np.array_equal(X, X_before)
