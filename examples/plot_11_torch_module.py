"""
A network that exists already: explain it, then fine-tune it
============================================================

Somebody has trained a network with torch or skorch, and it is in use. It can be
explained as it stands, and counterfactual training can go on from its weights: no new
start, a few epochs.
"""

# %%
# The digits of scikit-learn, and a small convolutional network, trained by skorch as
# usual. skct has no part in this.

import numpy as np
import pandas as pd
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from skorch import NeuralNetClassifier
from torch import nn

from skct import (
    CounterfactualExplainer,
    CounterfactualTrainingClassifier,
    ECCCoGenerator,
)
from skct.plotting import ImageGridDisplay
from skct.robustness import robust_accuracy

X, y = load_digits(return_X_y=True)
X = (X / 16).astype("float32").reshape(-1, 1, 8, 8)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, train_size=700, test_size=300, stratify=y, random_state=0
)


class Convolutional(nn.Sequential):
    """Eight filters and a dense layer."""

    def __init__(self):
        super().__init__(
            nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10)
        )


torch.manual_seed(0)
net = NeuralNetClassifier(
    Convolutional,
    criterion=nn.CrossEntropyLoss,
    optimizer=torch.optim.Adam,
    lr=0.003,
    max_epochs=20,
    batch_size=64,
    train_split=None,
    iterator_train__shuffle=True,
    verbose=0,
)
net.fit(X_train, y_train)
print(f"accuracy as it stands: {net.score(X_test, y_test):.3f}")

# %%
# The explainer takes the skorch net; the bare ``net.module_`` would do as well. It
# needs some observed rows, from which it learns the domain and judges plausibility.

options = {
    "generator": ECCCoGenerator(max_iter=100),
    "confidence": 0.9,
    "domain": "auto",
    "refine": False,
}
before = CounterfactualExplainer(net, **options).fit(X_train, y_train)
print(before.explain(X_test).summary().round(2).to_string())

# %%
# ``warm_start=True`` and the trained net: training goes on from a copy of its weights.
# The net itself stays as it is.

weights = [p.detach().clone() for p in net.module_.parameters()]
clf = CounterfactualTrainingClassifier(
    net,
    preprocessor=None,
    generator=ECCCoGenerator(threshold=0.9),
    objective="paper",
    early_stopping=False,
    warm_start=True,
    random_state=0,
)
clf.fit(X_train, y_train)
untouched = all(map(torch.equal, weights, net.module_.parameters()))
print(f"{clf.n_iter_} epochs in all, the old net is untouched: {untouched}")

# %%
# Before and after: the same 300 test digits, each asked for its runner-up class.
# Twenty epochs on the paper's objective make the answers more plausible, at the price
# of some accuracy and of dearer answers.

after = CounterfactualExplainer(clf, **options).fit(X_train, y_train)
attack = {"attack": "pgd", "n_steps": 20, "step_size": 0.02, "random_state": 0}


def judge(module, explainer):
    figures = explainer.explain(X_test).summary()
    clean, attacked = robust_accuracy(
        module, X_test, y_test, epsilons=(0, 0.05), **attack
    )
    figures = figures[["valid", "cost", "implausibility"]].to_dict()
    return figures | {"accuracy": clean, "under attack (0.05)": attacked}


table = {
    "before": judge(net.module_.eval(), before),
    "after": judge(clf.module_, after),
}
print(pd.DataFrame(table).round(3).to_string())

# %%
# Five digits, and the same question to both networks.

goals = {0: 6, 3: 8, 4: 9, 7: 9, 1: 4}
right = (net.predict(X_test) == y_test) & (clf.predict(X_test) == y_test)
rows = [np.flatnonzero(right & (y_test == digit))[0] for digit in goals]
display = ImageGridDisplay.from_explanation(
    {
        "before": before.explain(X_test[rows], list(goals.values())),
        "after": after.explain(X_test[rows], list(goals.values())),
    },
    difference=True,
)
_ = display.ax_.set_yticklabels([f"a {digit}" for digit in goals])
