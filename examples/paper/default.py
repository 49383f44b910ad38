"""The package's default objective, with one setting for all data.

As a user would have it: weights start as torch draws them, batches are shuffled, the
weights of the objective and the number of counterfactuals are the defaults. From the
settings of the paper come batch size, epochs and the domain only.
"""

import warnings

from skct import CounterfactualNet, CounterfactualTrainingClassifier
from skct.exceptions import DivergenceWarning


def train(task, settings, seed, *, epochs, lr):
    """Net of one seed on one data set.

    Raises
    ------
    KeyboardInterrupt
        If Ctrl-C ended the training, which skorch would pass over in silence.
    """
    clf = CounterfactualTrainingClassifier(
        CounterfactualNet(batch_size=settings.batch_size, max_epochs=epochs, lr=lr),
        preprocessor=None,
        domain=domain(task),
        early_stopping=False,  # the paper trains for a fixed number of epochs
        random_state=seed,
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        clf.fit(task.X_train, task.y_train)
    diverged = any(w.category is DivergenceWarning for w in caught)
    if clf.n_iter_ < epochs and not diverged:
        raise KeyboardInterrupt
    return clf.net_


def domain(task):
    """Bounds of the numeric columns."""
    bounds = zip(task.lower.tolist(), task.upper.tolist(), strict=True)
    return {i: pair for i, pair in enumerate(bounds) if i not in task.one_hot}
