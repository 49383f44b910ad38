"""Which features a model listens to: integrated gradients and sensitivity."""

import numpy as np
import torch

from ._search import evaluation_mode

__all__ = ["integrated_gradients", "sensitivity"]


def integrated_gradients(model, X, target, *, baseline=None, n_steps=50):
    """Integrated gradients of the target logit [1]_.

    Parameters
    ----------
    model : callable
        Maps a batch of shape (n, *features) to logits, such as ``clf.module_``.
    X : array-like of shape (n, *features)
        Model input, such as ``clf.feature_space_.encode(table)``.
    target : array-like of shape (n,)
        Class index of the logit to attribute.
    baseline : array-like broadcastable to X, optional
        Where the path starts; None: zeros (the mean of standardised columns).
    n_steps : int, default=50
        Points of the midpoint rule.

    Returns
    -------
    attribution : ndarray of shape (n, *features)
        Sums, up to the error of the rule, to the difference of the target logit
        between X and baseline.

    References
    ----------
    .. [1] Sundararajan, Taly and Yan, "Axiomatic Attribution for Deep Networks", 2017.

    Examples
    --------
    >>> import torch
    >>> from skct.attribution import integrated_gradients
    >>> model = lambda x: torch.stack([0 * x[:, 0], 2 * x[:, 0] + x[:, 1]], dim=1)
    >>> integrated_gradients(model, [[1.0, 3.0]], [1])
    array([[2., 3.]], dtype=float32)
    """
    X = torch.as_tensor(np.asarray(X), dtype=torch.float32)
    target = torch.as_tensor(np.asarray(target), dtype=torch.long)
    start = (
        torch.zeros_like(X)
        if baseline is None
        else torch.as_tensor(np.asarray(baseline), dtype=torch.float32).expand_as(X)
    )
    total = torch.zeros_like(X)
    with evaluation_mode(model), torch.enable_grad():
        for k in range(n_steps):
            share = (k + 0.5) / n_steps
            point = (start + share * (X - start)).requires_grad_()
            logit = model(point).gather(1, target[:, None]).sum()
            total += torch.autograd.grad(logit, point)[0]
    return ((X - start) * total / n_steps).numpy()


def sensitivity(attribution, features, *, standardize="range"):
    """Standardised sensitivity to some features, the protected ones say.

    Parameters
    ----------
    attribution : array-like of shape (n, *features)
        Integrated gradients.
    features : sequence of int
        Positions in the flattened model input.
    standardize : {"range", "share"}, default="range"
        "range": the paper's: attributions averaged over rows, shifted and scaled by
        their range over features (two features: absolute value over range), mean over
        `features`. "share": share of the mean absolute attribution that falls on
        `features`; between 0 and 1 and easier to compare between models.

    Returns
    -------
    sensitivity : float
        Smaller means that the model listens less to `features`; 0 where no feature has
        an attribution.

    Raises
    ------
    ValueError
        For an unknown standardisation.

    Notes
    -----
    Table II of the paper; with "range" the denominator can come close to zero, and 0
    or 1 only says that a feature is the smallest or the largest.

    Examples
    --------
    >>> from skct.attribution import sensitivity
    >>> sensitivity([[1.0, -3.0, 4.0]], [0, 1], standardize="share")
    0.5
    """
    attribution = np.asarray(attribution, dtype=float)
    attribution = attribution.reshape(len(attribution), -1)
    features = list(features)
    if standardize == "share":
        size = np.abs(attribution).mean(0)
        return float(size[features].sum() / (size.sum() or 1.0))
    if standardize != "range":
        raise ValueError(
            "The 'standardize' parameter must be 'range' or 'share'. "
            f"Got {standardize!r} instead."
        )
    mean = attribution.mean(0)
    width = np.ptp(mean) or 1.0
    if len(mean) == 2:
        return float(np.abs(mean[features]).mean() / width)
    return float((mean[features] - mean.min()).mean() / width)
