"""Feature attributions, and samples of the density that a model gives to a class."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from .constraints.box import Constraints
from .losses import energy
from .metrics.checks import as_rows, check_finite
from .metrics.plausibility import implausibility
from .utils.model import check_model, evaluation_mode, model_device
from .utils.random import draw_seed
from .utils.validation import as_array, as_floats, check_count, check_number, wrong

__all__ = ["faithfulness", "integrated_gradients", "sample_conditional", "sensitivity"]

Model: TypeAlias = Callable[[Tensor], Tensor]
Bounds: TypeAlias = Constraints | tuple[ArrayLike, ArrayLike]

BATCH_SIZE = 1000  # rows attributed at once: images through convolutions are large


def integrated_gradients(
    model: Model,
    X: ArrayLike,
    target: ArrayLike,
    *,
    baseline: ArrayLike | None = None,
    n_steps: int = 50,
) -> np.ndarray:
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

    Raises
    ------
    ValueError
        If a number is not finite, `target` does not hold one class index per row,
        `baseline` has another shape, or `n_steps` is below 1.

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
    check_count("n_steps", n_steps)
    X = as_input("X", X)
    if X.dim() < 2:
        allowed = "model input of shape (n, *features)"
        raise wrong("X", allowed, f"an array of shape {tuple(X.shape)}")
    target = as_codes(target, len(X))
    start = as_baseline(baseline, X)
    if not len(X):
        return np.zeros(X.shape, dtype=np.float32)
    check_target(target.max(), check_model(model, X, least=1))
    device = model_device(model)
    batches = (values.to(device).split(BATCH_SIZE) for values in (X, target, start))
    total = [
        path_gradient(model, x, codes, origin, n_steps).cpu()
        for x, codes, origin in zip(*batches, strict=True)
    ]
    return ((X - start) * torch.cat(total)).numpy()


def path_gradient(
    model: Model, x: Tensor, target: Tensor, start: Tensor, n_steps: int
) -> Tensor:
    """Mean gradient of the target logit on the way from `start` to `x`."""
    total = torch.zeros_like(x)
    with evaluation_mode(model):
        for k in range(n_steps):
            t = (k + 0.5) / n_steps  # midpoints, where the rule is of second order
            total += logit_gradient(model, start + t * (x - start), target)
    return total / n_steps


def logit_gradient(model: Model, x: Tensor, target: Tensor) -> Tensor:
    """Gradient of the target logit of each row; parameters collect none."""
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        logits = model(x)
        return torch.autograd.grad(-energy(logits, target).sum(), x)[0]


def sensitivity(
    attribution: ArrayLike,
    features: Sequence[int] | np.ndarray,
    *,
    standardize: str = "range",
) -> float:
    """Standardised sensitivity to some features, such as protected ones.

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
        Smaller means that the model relies less on `features`; 0 where no feature has
        an attribution.

    Raises
    ------
    ValueError
        For an unknown standardisation, no row, no feature, or a number that is not
        finite.

    Notes
    -----
    Table II of the paper; with "range" the denominator can come close to zero, and 0
    or 1 only means that a feature is the smallest or the largest.

    Examples
    --------
    >>> from skct.attribution import sensitivity
    >>> sensitivity([[1.0, -3.0, 4.0]], [0, 1], standardize="share")
    0.5
    """
    attribution = as_rows("attribution", attribution)
    features = as_positions(features, attribution.shape[1])
    if not len(attribution) or not len(features):
        raise ValueError(
            "sensitivity needs at least one row and one feature. Got "
            f"{len(attribution)} rows and {len(features)} features."
        )
    if standardize == "share":
        size = np.abs(attribution).mean(0)
        return float(size[features].sum() / (size.sum() or 1.0))
    if standardize != "range":
        raise ValueError(
            "The 'standardize' parameter must be 'range' or 'share'. "
            f"Got {standardize!r} instead."
        )
    mean = attribution.mean(0)
    # Where all features have the same attribution there is no range to divide by.
    width = np.ptp(mean) or 1.0
    # Shifted by its minimum, one of two features is always 0 and the other 1.
    if len(mean) == 2:
        return float(np.abs(mean[features]).mean() / width)
    return float((mean[features] - mean.min()).mean() / width)


def sample_conditional(
    model: Model,
    target: int,
    bounds: Bounds,
    *,
    n_samples: int = 100,
    n_steps: int = 1000,
    step_size: float = 0.01,
    noise: float | None = None,
    start: ArrayLike | None = None,
    random_state: int | np.random.RandomState | None = None,
) -> np.ndarray:
    """Samples of what the model itself takes for a class, by Langevin dynamics.

    The density is ``p(x | target) ~ exp(-E(x, target))`` within the bounds, where the
    energy E is minus the target logit.

    Parameters
    ----------
    model : callable
        Maps a batch of shape (n, *features) to logits, such as ``clf.module_``.
    target : int
        Class index.
    bounds : Constraints or pair (low, high) of array-like of shape (*features,)
        Domain of the samples, in model-input units, such as ``clf.constraints_`` or
        the smallest and the largest value of each encoded column. Of constraints,
        categories and integers count too, mutability does not.
    n_samples : int, default=100
        Number of chains; the last state of each is a sample.
    n_steps : int, default=1000
        Steps of each chain.
    step_size : float, default=0.01
        Small against the squared width of what is to be found; made for standardised
        columns.
    noise : float, optional
        Standard deviation of the noise in each step. None: the square root of
        `step_size`, with which chains sample the density. Less noise draws them
        towards its modes.
    start : array-like of shape (n_start, *features), optional
        Chains start at rows drawn from these. None: uniformly within the bounds.
    random_state : int, RandomState instance or None, default=None
        Seed; torch's and numpy's global states stay as they are.

    Returns
    -------
    samples : ndarray of shape (n_samples, *features), float32

    Raises
    ------
    ValueError
        If a feature has no finite bounds (the energy of a ReLU network is linear far
        out, so that free chains never come back), or a parameter is out of range.

    Notes
    -----
    One step is ``x - step_size / 2 * grad E(x) + noise * N(0, 1)``, stochastic gradient
    Langevin dynamics [1]_ with the exact gradient and a fixed step, reflected at the
    bounds: clipping would pile samples up there. ECCCo [2]_ draws its samples with 500
    steps of ``step_size=2, noise=0.01``, close to a gradient descent. Of categories and
    integers, the model sees the snapped value of a relaxed state, as in `search`; the
    density is that of the relaxed state, so categories come out more evenly than their
    logits suggest.

    References
    ----------
    .. [1] Welling and Teh, "Bayesian Learning via Stochastic Gradient Langevin
       Dynamics", 2011.
    .. [2] Altmeyer et al., "Faithful Model Explanations through Energy-Constrained
       Conformal Counterfactuals", AAAI 2024.

    Examples
    --------
    >>> import torch
    >>> from skct.attribution import sample_conditional
    >>> model = lambda x: torch.cat([-x.square(), -(x - 3).square()], dim=1)
    >>> samples = sample_conditional(model, 1, ([-9.0], [9.0]), random_state=0)
    >>> samples.shape, bool(abs(samples.mean() - 3) < 0.5)
    ((100, 1), True)
    """
    check_count("target", target, low=0)
    check_count("n_samples", n_samples)
    check_count("n_steps", n_steps)
    check_number("step_size", step_size, positive=True)
    noise = step_size**0.5 if noise is None else check_number("noise", noise)
    domain = as_domain(bounds)
    check_target(target, check_model(model, domain.lower[None], least=1))
    constraints = domain.to(model_device(model))
    generator = torch.Generator().manual_seed(draw_seed(random_state))
    state = initial_states(constraints, start, n_samples, generator)
    codes = torch.full((n_samples,), int(target), device=state.device)
    with evaluation_mode(model):
        for _ in range(n_steps):
            gradient = logit_gradient(model, constraints.discretize(state), codes)
            # A gradient that overflows must not end the chain.
            gradient = torch.nan_to_num(gradient, nan=0.0, posinf=0.0, neginf=0.0)
            normal = torch.randn(state.shape, generator=generator).to(state.device)
            # Minus the gradient of the energy is that of the target logit.
            state = reflect(
                state + step_size / 2 * gradient + noise * normal,
                constraints.lower,
                constraints.upper,
            )
    return constraints.discretize(state).cpu().numpy()


def initial_states(
    constraints: Constraints,
    start: ArrayLike | None,
    n_samples: int,
    generator: torch.Generator,
) -> Tensor:
    """Where chains start: uniformly in the domain, or at given rows."""
    low, high = constraints.lower, constraints.upper
    if start is None:
        # Drawn on the CPU: a seed gives the same chains, whatever the device.
        u = torch.rand((n_samples, *low.shape), generator=generator)
        return low + u.to(low.device) * (high - low)
    rows = as_input("start", start)
    if rows.shape[1:] != low.shape or not rows.numel():
        raise ValueError(
            f"The 'start' parameter must hold rows of shape {tuple(low.shape)}. Got "
            f"an array of shape {tuple(rows.shape)}."
        )
    drawn = torch.randint(len(rows), (n_samples,), generator=generator)
    return rows[drawn].to(low.device).clamp(low, high)


def reflect(x: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Fold what lies outside of a box back into it."""
    x = low + (x - low).abs()
    x = high - (high - x).abs()
    # Once is not enough for a step longer than the box is wide.
    return x.clamp(low, high)


def faithfulness(
    model: Model,
    counterfactual: ArrayLike,
    target: ArrayLike,
    bounds: Bounds,
    *,
    random_state: int | np.random.RandomState | None = None,
    **sampling: Any,
) -> np.ndarray:
    """Mean L1 distance of counterfactuals from what the model takes for their target.

    A distance: smaller is more faithful to the model, whatever the data look like.

    Parameters
    ----------
    model : callable
        Maps a batch of shape (n, *features) to logits, such as ``clf.module_``.
    counterfactual : array-like of shape (n, *features)
        Model input, such as ``clf.feature_space_.encode(table)``.
    target : array-like of shape (n,)
        Class index that each counterfactual is to reach.
    bounds : Constraints or pair (low, high) of array-like of shape (*features,)
        As in `sample_conditional`.
    random_state : int, RandomState instance or None, default=None
        Seed of the samples.
    **sampling
        `n_samples`, `n_steps`, `step_size`, `noise`, `start` of `sample_conditional`.

    Returns
    -------
    faithfulness : ndarray of shape (n,)
        Distances from one set of samples per class, the same for all its rows.

    Raises
    ------
    ValueError
        As `sample_conditional`, and if a counterfactual is not finite or `target`
        does not hold one class index per row.

    Notes
    -----
    The unfaithfulness of ECCCo [1]_, which averages over the half of its samples with
    the lowest energy; here over all. Samples of a trained network are only as good as
    its chains: compare models with the same settings and report them.

    References
    ----------
    .. [1] Altmeyer et al., "Faithful Model Explanations through Energy-Constrained
       Conformal Counterfactuals", AAAI 2024.

    Examples
    --------
    >>> import torch
    >>> from skct.attribution import faithfulness
    >>> model = lambda x: torch.cat([-x.square(), -(x - 3).square()], dim=1)
    >>> near, far = faithfulness(
    ...     model, [[3.0], [0.0]], [1, 1], ([-9.0], [9.0]), random_state=0
    ... )
    >>> bool(near < far)
    True
    """
    counterfactual = as_rows("counterfactual", counterfactual)
    target = as_codes(target, len(counterfactual)).numpy()
    # One seed for all classes: the samples of a class do not depend on which other
    # classes are asked for.
    seed = draw_seed(random_state)
    distance = np.zeros(len(counterfactual))
    for code in np.unique(target):
        samples = sample_conditional(model, code, bounds, random_state=seed, **sampling)
        rows = target == code
        distance[rows] = implausibility(counterfactual[rows], samples)
    return distance


def as_input(name: str, X: ArrayLike) -> Tensor:
    """A finite float32 tensor, always a copy."""
    X = as_floats(name, X)
    check_finite(name, X)
    return torch.tensor(X, dtype=torch.float32)


def as_codes(target: ArrayLike, n: int) -> Tensor:
    """Class indices, one per row."""
    target = np.asarray(target)
    whole = target.dtype.kind in "iu" or not target.size
    if target.shape != (n,) or not whole or (target < 0).any():
        raise ValueError(
            "The 'target' parameter must hold class indices, integers from 0, one for "
            f"each of {n} rows. Got an array of shape {target.shape} and dtype "
            f"{target.dtype}; encode labels with np.searchsorted(clf.classes_, labels)."
        )
    return torch.tensor(target, dtype=torch.long)


def as_baseline(baseline: ArrayLike | None, X: Tensor) -> Tensor:
    """Where the paths to the rows of X start; zeros by default."""
    if baseline is None:
        return torch.zeros_like(X)
    baseline = as_input("baseline", baseline)
    try:
        return baseline.expand_as(X)
    except RuntimeError:
        raise ValueError(
            "The 'baseline' parameter must be a number, one row or as many rows as X, "
            f"of shape {tuple(X.shape)}. Got an array of shape {tuple(baseline.shape)}."
        ) from None


def as_domain(bounds: Bounds) -> Constraints:
    """Constraints with finite bounds, from a pair of arrays if need be."""
    if not isinstance(bounds, Constraints):
        low, high = as_ends(bounds)
        bounds = Constraints.from_arrays(low, high, ["both"] * low.size, low.shape)
    closed = torch.isfinite(bounds.lower) & torch.isfinite(bounds.upper)
    if not (closed & (bounds.lower <= bounds.upper)).all():
        raise ValueError(
            "The 'bounds' parameter must have finite ends, low <= high, in every "
            f"feature, or chains drift away. Got {bounds.lower} and {bounds.upper}; "
            "pass the smallest and largest encoded value of each column, say."
        )
    return bounds


def as_ends(bounds: tuple[ArrayLike, ArrayLike]) -> Sequence[np.ndarray]:
    """Low and high ends of a domain, of one shape."""
    try:
        low, high = (as_floats("bounds", end) for end in bounds)
        return np.broadcast_arrays(low, high)
    except (TypeError, ValueError) as error:
        allowed = "Constraints, or a pair (low, high) of numbers of one shape"
        raise wrong("bounds", allowed, bounds) from error


def as_positions(features: Sequence[int] | np.ndarray, n: int) -> np.ndarray:
    """Positions of features among `n`."""
    positions = np.atleast_1d(as_array("features", features))
    try:
        return np.arange(n)[positions if positions.size else []]
    except IndexError as error:
        allowed = f"positions in the flattened model input, integers below {n}"
        raise wrong("features", allowed, features) from error


def check_target(target: int | Tensor, n_classes: int) -> None:
    """Check that there is a logit for the largest target."""
    if int(target) >= n_classes:
        raise ValueError(
            f"The 'target' parameter must hold class indices below {n_classes}, the "
            f"number of logits. Got {int(target)}."
        )
