"""
What training looks like, and what to do when nothing matures
=============================================================

With ``objective="paper"``, counterfactual training learns from counterfactuals that
have reached their class with some certainty, the *mature* ones. If none does, there is
nothing to learn from, and the network is a plain one that took longer. The history
shows it, a warning says it, and there are remedies. (The default objective learns from
the others, too.)
"""

# %%
# The diabetes data, and a training as it should be. ``history_`` has a row per epoch.

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes

from skct import CounterfactualTrainingClassifier
from skct.exceptions import SearchWarning
from skct.plotting import HistoryDisplay

X, progression = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
y = np.where(progression > progression.median(), "fast", "slow")


def build(**params):
    clf = CounterfactualTrainingClassifier(objective="paper", random_state=0)
    defaults = {"net__batch_size": 64, "net__lr": 0.005, "net__max_epochs": 25}
    return clf.set_params(**(defaults | params))


clf = build().fit(X, y)
columns = ["epoch", "train_loss", "divergence", "adversarial", "mature", "n_iter"]
print(clf.history_[columns].iloc[[0, 4, 14, 24]].round(3).to_string(index=False))

# %%
# The parts of the loss, the share of searches that matured, their steps, and the time.
# The divergence is the mean energy of observed rows minus that of counterfactuals: it
# falls below zero as the network learns to tell them apart.

HistoryDisplay.from_estimator(clf).figure_.set_size_inches(8, 7)

# %%
# Now a threshold that is too high for a young network and noisy data: a counterfactual
# counts only when the network is 95 % sure. ``fit`` warns; we catch the warning to
# print it.


def fit(clf):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", SearchWarning)
        return clf.fit(X, y), [str(warning.message) for warning in caught]


strict, told = fit(build(generator__threshold=0.95))
print(*told, sep="\n")

# %%
# What can be done: a lower threshold, longer steps, or plain training first, for half
# of the epochs (``burn_in``), since a network that has learnt nothing is never sure. On
# these data the first two help, burn-in does not: the two kinds of patients overlap so
# much that a trained network is seldom 95 % sure, either.

remedies = {
    "threshold 0.5 (default)": clf,
    "threshold 0.95": strict,
    "threshold 0.75": build(generator__threshold=0.75),
    "0.95, 5 times the step size": build(
        generator__threshold=0.95, generator__step_size=0.5
    ),
    "0.95, burn-in 0.5": build(generator__threshold=0.95, burn_in=0.5),
}
figure, ax = plt.subplots(figsize=(8.5, 4.2), layout="constrained")
colours = ("#CC79A7", "#000000", "#0072B2", "#E69F00", "#009E73")
for (name, clf), colour in zip(remedies.items(), colours, strict=True):
    if not hasattr(clf, "history_"):
        fit(clf)
    history = clf.history_
    ax.plot(history["epoch"], 100 * history["mature"], color=colour, label=name)
    print(f"{name:28} mature in the last epoch: {history['mature'].iloc[-1]:.0%}")
ax.set_title("How many counterfactuals there are to learn from")
ax.set(xlabel="Epoch", ylabel="Mature counterfactuals (%)", ylim=(0, 102))
_ = ax.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
