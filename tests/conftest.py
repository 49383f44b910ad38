import os

# Before scikit-learn is imported: without it one estimator check is skipped.
os.environ.setdefault("SCIPY_ARRAY_API", "1")
# One worker per core, so one thread per worker.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import matplotlib  # noqa: E402

matplotlib.use("Agg")

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402
from skorch import NeuralNetClassifier  # noqa: E402

from skct import (  # noqa: E402
    MLP,
    CounterfactualNet,
    CounterfactualTrainingClassifier,
)


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def people(n=300, seed=0):
    """A small mixed table of applicants and who was approved."""
    rng = np.random.default_rng(seed)
    education = pd.Categorical.from_codes(
        rng.integers(0, 3, n), ["school", "bachelor", "master"], ordered=True
    )
    table = pd.DataFrame(
        {
            "age": rng.integers(18, 70, n),
            "income": rng.gamma(4.0, 10.0, n).round(2),
            "job": rng.choice(["clerk", "cook", "nurse"], n),
            "education": education,
            "married": rng.random(n) < 0.5,
            "children": rng.integers(0, 4, n).astype("int8"),
        },
        index=np.arange(1000, 1000 + n),
    )
    score = 0.05 * (table["income"] - 40) + 0.8 * (education.codes - 1)
    score = score + 0.8 * (table["job"] == "nurse") - 0.3
    approved = np.where(score + 0.3 * rng.normal(size=n) > 0, "approved", "denied")
    return table, approved


def quick(epochs=15, **params):
    """A classifier that trains in well under a second."""
    params = {"random_state": 0, **params}
    net = CounterfactualNet(max_epochs=epochs, lr=0.02, batch_size=32)
    return CounterfactualTrainingClassifier(net, **params)


def skorch_net(n_features_in, **params):
    """What `quick` trains without counterfactuals, as skorch alone has it."""
    params = {"lr": 0.02, "batch_size": 32, "train_split": None, **params}
    return NeuralNetClassifier(
        MLP,
        module__n_features_in=n_features_in,
        module__n_classes=2,
        criterion=torch.nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        iterator_train__shuffle=True,
        verbose=0,
        **params,
    )


@pytest.fixture(scope="session")
def applicants():
    return people()


@pytest.fixture(scope="session")
def fitted(applicants):
    X, y = applicants
    clf = quick(
        mutability={"age": "none", "married": "none", "education": "increase"},
        domain={"income": (0, None)},
    )
    return clf.fit(X, y)


@pytest.fixture
def denied(applicants, fitted):
    X, _ = applicants
    return X[fitted.predict(X) == "denied"]
