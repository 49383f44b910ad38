"""``objective="margin"``, the former default, with one setting for all data.

As a user would have it: weights start as torch draws them, batches are shuffled, the
number of counterfactuals is the default, categories are snapped in training. From the
settings of the paper come batch size, epochs and the domain only.
"""

import warnings

from skct import CounterfactualNet, CounterfactualTrainingClassifier
from skct.exceptions import DivergenceWarning

MODELS = ("CT-margin", "CT-margin-constrained")


def train(task, settings, model, seed, *, epochs, lr, **changes):
    """Train one model on one data set, at three times the learning rate.

    Parameters
    ----------
    **changes
        Parameters of the classifier that are to differ.

    Returns
    -------
    net : CounterfactualNet
    messages : list of str
        Warnings of the training.

    Raises
    ------
    KeyboardInterrupt
        If Ctrl-C ended the training, which skorch would pass over in silence.
    """
    protected = task.protected if model.endswith("constrained") else ()
    net = CounterfactualNet(
        batch_size=settings.batch_size, max_epochs=epochs, lr=3 * lr
    )
    given = {"preprocessor": None, "objective": "margin", "n_counterfactuals": 0.3}
    clf = CounterfactualTrainingClassifier(
        net,
        **given | changes,
        mutability=dict.fromkeys(protected, "none"),
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
    return clf.net_, [str(w.message) for w in caught]


def domain(task):
    """Bounds of the numeric columns."""
    bounds = zip(task.lower.tolist(), task.upper.tolist(), strict=True)
    return {i: pair for i, pair in enumerate(bounds) if i not in task.one_hot}
