"""The two tasks that peers were measured on: rows, targets and a trained network.

Other scripts import this one. The files are in the folder SKCT_DATA: training rows
(`Xtr`, `ytr`, standardised), 1,000 rows to explain (`Xq`) with their targets (`tgt`),
and weights of a network of two hidden layers of 32 units.
"""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

__all__ = ["Task", "load"]


class Task(NamedTuple):
    """One of the tasks; float64 tables, as users have them."""

    name: str
    X_train: np.ndarray
    y_train: np.ndarray
    X: np.ndarray
    target: np.ndarray
    weights: list

    def module(self):
        """The plain network."""
        import torch
        from torch import nn

        layers = []
        for weight, bias in self.weights:
            layer = nn.Linear(weight.shape[1], weight.shape[0])
            layer.weight.data = torch.tensor(weight)
            layer.bias.data = torch.tensor(bias)
            layers += [layer, nn.ReLU()]
        return nn.Sequential(*layers[:-1]).eval()


def load(name):
    """Task of that name."""
    kept = np.load(Path(os.environ["SKCT_DATA"]) / f"peers_{name}.npz")
    rows = (kept[key].astype(float) for key in ("Xtr", "Xq"))
    train, asked = rows
    weights = [(kept[f"W{i}"], kept[f"b{i}"]) for i in range(3)]
    labels, targets = (kept[key].astype(int) for key in ("ytr", "tgt"))
    return Task(name, train, labels, asked, targets, weights)
