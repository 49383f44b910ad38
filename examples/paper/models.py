"""The models that are compared: the paper's and its reviewers'."""

import baselines
import reference

from skct import MLP

PAPER = reference.MODELS
REVIEWERS = (*reference.GENERATORS, *baselines.MODELS)
MODELS = (*PAPER, reference.BARE, *REVIEWERS)
COLUMNS = ("epoch", "dur", "train_loss", "classification", "divergence")
COLUMNS += ("adversarial", "ridge", "mature", "n_iter", "search_seconds")


def depends_on_version(model, settings):
    """Whether V1 and V2 of the model differ; what the paper has not is V2 only."""
    return model in PAPER and reference.depends_on_version(model, settings)


def train(task, settings, model, version, seed, **length):
    """Train one model on one data set.

    Parameters
    ----------
    task : Task
    settings : Settings
    model : str
        One of `MODELS`.
    version : {"V1", "V2", "any"}
    seed : int
    **length
        `epochs` and `lr`.

    Returns
    -------
    module : torch module
        Model input -> logits, in eval mode.
    history : dict of list
        One value per epoch and column.
    messages : list of str
        Warnings of the training.
    """
    if model in baselines.MODELS:
        return baselines.train(task, settings, model, seed, **length)
    net, messages = reference.train(task, settings, model, version, seed, **length)
    return net.module_, history(net), messages


def build(model, n_features_in, n_classes):
    """Untrained module of a model, to load weights into."""
    if model in baselines.MODELS:
        return baselines.build(model, n_features_in, n_classes)
    return MLP(n_features_in, n_classes)


def history(net):
    """Columns of the training history of a net."""
    rows = [{name: row.get(name) for name in COLUMNS} for row in net.history]
    known = [name for name in COLUMNS if rows and rows[0][name] is not None]
    return {name: [row[name] for row in rows] for name in known}
