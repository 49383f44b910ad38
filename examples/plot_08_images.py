"""
Digits: what the network takes for a 6
======================================

To make a 6 of a 0, a person opens the ring on the right and closes it in the middle. A
plain network is content with specks and shades all over the image: it never had to know
what a 6 looks like. Here two networks learn the 8 x 8 digits that
come with scikit-learn, one plainly and one by counterfactual training, and show their
idea of other digits. The second has the objective of the paper, which asks for
counterfactuals that look like observed rows; the default asks for honest probabilities.
"""

# %%
# Images go in as they are: ``preprocessor=None`` says that X is the model input. The
# domain, the range of each pixel that was observed, keeps answers printable and the
# corners black.

import numpy as np
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skct import (
    CounterfactualExplainer,
    CounterfactualTrainingClassifier,
    ECCCoGenerator,
)
from skct.plotting import ImageGridDisplay

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X / 16, y, train_size=700, stratify=y, random_state=0
)


def train(seed, **weights):
    clf = CounterfactualTrainingClassifier(
        preprocessor=None,
        objective="paper",
        n_counterfactuals=0.3,
        generator=ECCCoGenerator(threshold=0.9),
        early_stopping=False,
        random_state=seed,
        **weights,
    )
    clf.set_params(net__lr=0.01, net__batch_size=64, net__max_epochs=20)
    clf.set_params(objective__epsilon=0.2)
    return clf.set_params(net__module__hidden_layer_sizes=(64,)).fit(X_train, y_train)


PLAIN = {"lambda_div": 0, "lambda_adv": 0, "lambda_reg": 0}
plain = [train(seed, **PLAIN) for seed in range(3)]
ct = [train(seed) for seed in range(3)]

# %%
# For each of 300 test digits we ask for the runner-up, the second
# most probable class, with a probability of 0.95. ``refine=False``: we want to see what
# the network finds typical, not the smallest change. Implausibility is the mean
# distance from observed digits of the target class, in units of one fully lit pixel.
# Means over three training seeds, and the standard deviation between them.

factuals = X_test[:300]
typical = ECCCoGenerator(max_iter=100)


def explain(clf, rows, target=None):
    explainer = CounterfactualExplainer(
        clf, generator=typical, confidence=0.95, refine=False
    )
    return explainer.explain(rows, target)


def judge(clf):
    figures = explain(clf, factuals).summary()
    figures = figures[["valid", "cost", "implausibility"]]
    return {"accuracy": clf.score(X_test, y_test), **figures}


runs = pd.DataFrame(
    [{"net": "plain", **judge(clf)} for clf in plain]
    + [{"net": "CT", **judge(clf)} for clf in ct]
)
print(runs.groupby("net", sort=False).agg(["mean", "std"]).round(3).to_string())

# %%
# With counterfactual training the answers lie closer to real digits of the class asked
# for. They change a little more of the image, and accuracy is a point lower.
#
# Five digits on the left, and what the first network of each kind makes of them.

digits, goals = [0, 3, 4, 7, 1], np.array([6, 8, 9, 9, 4])
right = (plain[0].predict(X_test) == y_test) & (ct[0].predict(X_test) == y_test)
chosen = [np.flatnonzero(right & (y_test == digit))[0] for digit in digits]
display = ImageGridDisplay.from_explanation(
    {
        "plain": explain(plain[0], X_test[chosen], goals),
        "CT": explain(ct[0], X_test[chosen], goals),
    },
    image_shape=(8, 8),
    difference=True,
)
_ = display.ax_.set_yticklabels([f"a {digit}" for digit in digits])
