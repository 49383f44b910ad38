"""Counterfactual generators: what the search minimises besides the class loss."""

from typing import NamedTuple

import torch
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from . import metrics
from ._random import as_random_state, draw_seed
from ._validation import check_integer, check_option, check_real, wrong
from .losses import energy
from .vae import fit_vae

__all__ = [
    "BaseGenerator",
    "ECCCoGenerator",
    "GenericGenerator",
    "GravitationalGenerator",
    "REVISEGenerator",
    "has_gradient",
    "make_generator",
    "seed_generator",
]


class SearchState(NamedTuple):
    """What a penalty may look at, for the rows that are still searched.

    `x` is the relaxed state of shape (n, *features), `logits` are those of the snapped
    state; `step` counts from 1 to `max_iter`; `weights` has the shape of `x`, or is
    None for equal weights; `anchors` is what `BaseGenerator.anchors` returned for these
    rows.
    """

    x: Tensor
    factual: Tensor
    logits: Tensor
    target: Tensor
    step: int
    max_iter: int
    weights: Tensor | None = None
    anchors: Tensor | None = None


def distance(state, scale=None):
    """Weighted L1 distance of each row from its factual, of shape (n,)."""
    change = (state.x - state.factual).abs()
    if state.weights is not None:
        change = change * state.weights
    if scale is not None:
        change = change * scale
    return change.flatten(1).sum(1)


def distance_gradient(state, scale=None):
    """Gradient of `distance` at the state, in its shape."""
    gradient = (state.x - state.factual).sign_()
    if state.weights is not None:
        gradient = gradient.mul_(state.weights)
    return gradient if scale is None else gradient.mul_(scale)


class BaseGenerator(BaseEstimator):
    """Protocol of all generators: hyper-parameters, one penalty, maybe a latent space.

    A generator of your own needs `penalty`, and a constructor if it has parameters of
    its own; the search, constraints and batching come for free. What it learns from the
    training rows it learns in `fit` and keeps in attributes that end in ``_``.
    `skct.testing.check_generator` tells whether it keeps the promises.

    Parameters
    ----------
    max_iter : int, default=30
        Largest number of gradient steps.
    step_size : float, default=0.1
        Step of the plain gradient descent, in model-input units.
    threshold : float, default=0.5
        Target probability in (0, 1) at which a counterfactual is mature.
    lambda_cost : float, default=0.001
        Weight of the L1 distance from the factual.

    Examples
    --------
    >>> from skct import BaseGenerator
    >>> class Greedy(BaseGenerator):
    ...     def penalty(self, state):
    ...         return 0 * state.logits[:, 0]
    >>> Greedy(max_iter=50)
    Greedy(max_iter=50)
    """

    latent = False  # True: the search moves z and looks at x = decode(z)

    def __init__(self, *, max_iter=30, step_size=0.1, threshold=0.5, lambda_cost=0.001):
        self.max_iter = max_iter
        self.step_size = step_size
        self.threshold = threshold
        self.lambda_cost = lambda_cost

    def check(self):
        """Raise a ValueError that names the first parameter out of range."""
        check_integer(self, "max_iter", low=1)
        check_real(self, "step_size", low=0, open_low=True)
        check_real(self, "threshold", low=0, high=1, open_low=True, open_high=True)
        check_real(self, "lambda_cost", low=0)
        return self

    def fit(self, X, y=None):
        """Learn from the encoded training rows; nothing to do unless overridden.

        Parameters
        ----------
        X : Tensor of shape (n, *features)
        y : Tensor of shape (n,), optional

        Returns
        -------
        self : BaseGenerator
        """
        return self

    def anchors(self, factual, target):
        """What the penalty of each row needs throughout its search.

        Called once per block of rows; `penalty` finds the entries of its rows in
        ``state.anchors``.

        Parameters
        ----------
        factual : Tensor of shape (n, *features)
        target : int64 Tensor of shape (n,)

        Returns
        -------
        anchors : Tensor of shape (n, ...) or None
        """
        return None

    def encode(self, x):
        """Model input to latent code, deterministic; the identity by default.

        Parameters
        ----------
        x : Tensor of shape (n, *features)

        Returns
        -------
        z : Tensor of shape (n, ...)
        """
        return x

    def decode(self, z):
        """Latent code to model input; the identity by default.

        Parameters
        ----------
        z : Tensor of shape (n, ...)

        Returns
        -------
        x : Tensor of shape (n, *features)
        """
        return z

    def penalty(self, state):
        """Penalty of each row, added to the class loss of its target.

        Parameters
        ----------
        state : SearchState

        Returns
        -------
        penalty : Tensor of shape (n,)
        """
        raise NotImplementedError(f"{type(self).__name__} must define `penalty`.")

    def penalty_gradient(self, state):
        """Gradient of `penalty`, for speed; without it the search differentiates.

        A class that overrides `penalty` alone is differentiated automatically, whatever
        its parents define here.

        Parameters
        ----------
        state : SearchState

        Returns
        -------
        at_input : Tensor of shape (n, *features) or None
            Gradient with respect to ``state.x``, a new tensor; None: zero.
        at_logits : Tensor of shape (n, n_classes) or None
            Gradient with respect to ``state.logits``; None: zero.
        """
        raise NotImplementedError


class GenericGenerator(BaseGenerator):
    """Closest counterfactuals: class loss plus L1 distance, after Wachter et al. [1]_.

    Parameters
    ----------
    max_iter, step_size, threshold, lambda_cost
        As in `BaseGenerator`.
    distance : {"l1", "mad"}, default="l1"
        "l1": plain sum over features, as in the paper's code. "mad": each feature
        divided by its median absolute deviation in the training rows, as Wachter et al.
        have it; features whose deviation is 0 (most one-hot columns) count plainly.

    References
    ----------
    .. [1] Wachter, Mittelstadt and Russell, "Counterfactual Explanations Without
       Opening the Black Box", 2018.

    Examples
    --------
    >>> from skct import GenericGenerator
    >>> GenericGenerator(threshold=0.9)
    GenericGenerator(threshold=0.9)
    """

    def __init__(
        self,
        *,
        max_iter=30,
        step_size=0.1,
        threshold=0.5,
        lambda_cost=0.001,
        distance="l1",
    ):
        super().__init__(
            max_iter=max_iter,
            step_size=step_size,
            threshold=threshold,
            lambda_cost=lambda_cost,
        )
        self.distance = distance

    def check(self):
        """Raise a ValueError that names the first parameter out of range."""
        super().check()
        check_option(self, "distance", ("l1", "mad"))
        return self

    def fit(self, X, y=None):
        """Learn the deviation of each feature, where the distance asks for it."""
        if self.distance == "mad":
            weights = metrics.mad_weights(X.flatten(1).cpu().numpy())
            self.scale_ = torch.as_tensor(weights, dtype=X.dtype, device=X.device)
            self.scale_ = self.scale_.reshape(X.shape[1:])
        return self

    def penalty(self, state):
        """L1 distance from the factual, of shape (n,)."""
        return self.lambda_cost * distance(state, self.scale(state))

    def penalty_gradient(self, state):
        """Gradient of `penalty`: signs at the input, nothing at the logits."""
        if not self.lambda_cost:
            return None, None
        gradient = distance_gradient(state, self.scale(state))
        return gradient.mul_(self.lambda_cost), None

    def scale(self, state):
        """Factor of each feature's distance; None where all count alike."""
        if self.distance == "l1":
            return None
        check_is_fitted(self, "scale_")
        return self.scale_.to(state.x.device)


class ECCCoGenerator(BaseGenerator):
    """Faithful counterfactuals: class loss, distance and energy, after ECCCo [1]_.

    Parameters
    ----------
    max_iter, step_size, threshold, lambda_cost
        As in `BaseGenerator`.
    lambda_energy : float, default=5.0
        Weight of the energy of the counterfactual under its target class.

    Notes
    -----
    The energy term is E + 0.001 E^2 times a factor that decays with the steps,
    a (b + t)^-0.9 with b = round(max_iter / 25) and a = b / 10, as in the reference
    code: changing `max_iter` changes the objective. The conformal set-size penalty of
    the original paper is left out, as in counterfactual training.

    References
    ----------
    .. [1] Altmeyer et al., "Faithful Model Explanations through Energy-Constrained
       Conformal Counterfactuals", AAAI 2024.

    Examples
    --------
    >>> from skct import ECCCoGenerator
    >>> ECCCoGenerator(max_iter=50, threshold=0.95)
    ECCCoGenerator(max_iter=50, threshold=0.95)
    """

    def __init__(
        self,
        *,
        max_iter=30,
        step_size=0.1,
        threshold=0.5,
        lambda_cost=0.001,
        lambda_energy=5.0,
    ):
        super().__init__(
            max_iter=max_iter,
            step_size=step_size,
            threshold=threshold,
            lambda_cost=lambda_cost,
        )
        self.lambda_energy = lambda_energy

    def check(self):
        """Raise a ValueError that names the first parameter out of range."""
        super().check()
        check_real(self, "lambda_energy", low=0)
        return self

    def penalty(self, state):
        """L1 distance plus scheduled energy, of shape (n,)."""
        weight = self.lambda_energy * energy_schedule(state.step, state.max_iter)
        value = energy(state.logits, state.target)
        return self.lambda_cost * distance(state) + weight * (
            value + 1e-3 * value.square()
        )

    def penalty_gradient(self, state):
        """Gradient of `penalty`: signs at the input, the energy at the target logit."""
        weight = self.lambda_energy * energy_schedule(state.step, state.max_iter)
        target = state.target[:, None]
        slope = weight * (2e-3 * state.logits.gather(1, target) - 1)
        at_logits = torch.zeros_like(state.logits).scatter_(1, target, slope)
        if not self.lambda_cost:
            return None, at_logits
        return distance_gradient(state).mul_(self.lambda_cost), at_logits


def has_gradient(generator):
    """Whether the class of a generator differentiates the penalty that it defines."""
    if "penalty" in vars(generator):
        return False
    for owner in type(generator).__mro__:
        if "penalty_gradient" in vars(owner):
            return owner is not BaseGenerator and not generator.latent
        if "penalty" in vars(owner):
            return False
    return False


def energy_schedule(step, max_iter):
    """Decaying factor of the energy term; 0 throughout for ``max_iter < 13``."""
    offset = round(max_iter / 25)
    return offset / 10 * (offset + step) ** -0.9


class REVISEGenerator(BaseGenerator):
    """Counterfactuals on the data manifold: the search moves a latent code [1]_.

    `fit` trains a variational autoencoder on the encoded training rows. The search
    descends on the code of a row and looks at the decoded point, projected on the
    constraints.

    Parameters
    ----------
    max_iter : int, default=30
        As in `BaseGenerator`.
    step_size : float, default=0.1
        Step of the plain gradient descent, in units of the code, whose prior is the
        standard normal distribution.
    threshold, lambda_cost
        As in `BaseGenerator`.
    latent_dim : int or None, default=None
        Size of the code; None: the number of features, at most 8.
    hidden_size : int, default=32
        Units of the one hidden layer of encoder and decoder.
    n_epochs : int, default=100
        Epochs of the autoencoder.
    random_state : int, RandomState or None, default=None
        Seed of the autoencoder; None: that of the classifier or explainer around.

    Attributes
    ----------
    vae_ : VAE

    Notes
    -----
    Departures from the reference code: encoding is deterministic and happens once (it
    draws a new code around every step); the decoded point is projected on domain and
    mutability (it ignores mutability); the reconstruction error counts five times as
    much, and features are standardised first; ReLU instead of sigmoid and tanh. The
    first step moves a row to its reconstruction, so that nascent counterfactuals are
    the factuals themselves where that lies further away than epsilon.

    References
    ----------
    .. [1] Joshi et al., "Towards Realistic Individual Recourse and Actionable
       Explanations in Black-Box Decision Making Systems", 2019.

    Examples
    --------
    >>> import torch
    >>> from skct import REVISEGenerator
    >>> rows = torch.randn(100, 3, generator=torch.Generator().manual_seed(0))
    >>> generator = REVISEGenerator(latent_dim=2, n_epochs=5, random_state=0).fit(rows)
    >>> generator.decode(generator.encode(rows)).shape
    torch.Size([100, 3])
    """

    latent = True

    def __init__(
        self,
        *,
        max_iter=30,
        step_size=0.1,
        threshold=0.5,
        lambda_cost=0.001,
        latent_dim=None,
        hidden_size=32,
        n_epochs=100,
        random_state=None,
    ):
        super().__init__(
            max_iter=max_iter,
            step_size=step_size,
            threshold=threshold,
            lambda_cost=lambda_cost,
        )
        self.latent_dim = latent_dim
        self.hidden_size = hidden_size
        self.n_epochs = n_epochs
        self.random_state = random_state

    def check(self):
        """Raise a ValueError that names the first parameter out of range."""
        super().check()
        if self.latent_dim is not None:
            check_integer(self, "latent_dim", low=1)
        check_integer(self, "hidden_size", low=1)
        check_integer(self, "n_epochs", low=1)
        as_random_state(self.random_state)
        return self

    def fit(self, X, y=None):
        """Train the autoencoder.

        Parameters
        ----------
        X : Tensor of shape (n, *features)
        y : ignored

        Returns
        -------
        self : REVISEGenerator
        """
        flat = X.flatten(1)
        self.vae_ = fit_vae(
            flat,
            latent_dim=self.latent_dim or min(flat.shape[1], 8),
            hidden_size=self.hidden_size,
            n_epochs=self.n_epochs,
            seed=draw_seed(self.random_state),
        )
        self.shape_ = tuple(X.shape[1:])
        return self

    def encode(self, x):
        """Mean code of each row, of shape (n, latent_dim)."""
        check_is_fitted(self, "vae_")
        return self.vae_.encode(x.flatten(1))

    def decode(self, z):
        """Row of each code, of shape (n, *features)."""
        check_is_fitted(self, "vae_")
        return self.vae_.decode(z).reshape(-1, *self.shape_)

    def penalty(self, state):
        """L1 distance between the decoded point and the factual, of shape (n,)."""
        return self.lambda_cost * distance(state)


class GravitationalGenerator(BaseGenerator):
    """Counterfactuals drawn towards observed rows of their target class [1]_.

    Parameters
    ----------
    max_iter, step_size, threshold, lambda_cost
        As in `BaseGenerator`.
    lambda_gravity : float, default=0.1
        Weight of the mean L1 distance from the neighbours.
    n_neighbours : int, default=10
        Neighbours of a factual: its nearest rows of the target class.
    n_reference : int, default=1000
        Rows per class that `fit` keeps, evenly spaced in the table.

    Attributes
    ----------
    rows_ : Tensor of shape (n_kept, *features)
    classes_of_rows_ : int64 Tensor of shape (n_kept,)

    Notes
    -----
    Departures from the reference code: neighbours are those of the factual and stay
    the same throughout a search, so that the objective does not change from step to
    step, and 10 instead of 50; a weight of 0.1 instead of 0.5, with which the pull
    stops rows whose neighbours lie on the wrong side of the decision boundary.

    References
    ----------
    .. [1] Altmeyer et al., "Endogenous Macrodynamics in Algorithmic Recourse", 2023.

    Examples
    --------
    >>> from skct import GravitationalGenerator
    >>> GravitationalGenerator(lambda_gravity=1.0)
    GravitationalGenerator(lambda_gravity=1.0)
    """

    def __init__(
        self,
        *,
        max_iter=30,
        step_size=0.1,
        threshold=0.5,
        lambda_cost=0.001,
        lambda_gravity=0.1,
        n_neighbours=10,
        n_reference=1000,
    ):
        super().__init__(
            max_iter=max_iter,
            step_size=step_size,
            threshold=threshold,
            lambda_cost=lambda_cost,
        )
        self.lambda_gravity = lambda_gravity
        self.n_neighbours = n_neighbours
        self.n_reference = n_reference

    def check(self):
        """Raise a ValueError that names the first parameter out of range."""
        super().check()
        check_real(self, "lambda_gravity", low=0)
        check_integer(self, "n_neighbours", low=1)
        check_integer(self, "n_reference", low=1)
        return self

    def fit(self, X, y):
        """Keep rows of each class.

        Parameters
        ----------
        X : Tensor of shape (n, *features)
        y : int64 Tensor of shape (n,)

        Returns
        -------
        self : GravitationalGenerator
        """
        if y is None or len(y) != len(X):
            allowed = f"{len(X)} class indices, one per row of X"
            raise wrong("y", allowed, None if y is None else tuple(y.shape))
        kept = [evenly((y == k).nonzero()[:, 0], self.n_reference) for k in y.unique()]
        rows = torch.cat(kept)
        self.rows_, self.classes_of_rows_ = X[rows].clone(), y[rows].clone()
        return self

    def anchors(self, factual, target):
        """Neighbours of each factual; where its target class has no row, itself.

        Parameters
        ----------
        factual : Tensor of shape (n, *features)
        target : int64 Tensor of shape (n,)

        Returns
        -------
        anchors : Tensor of shape (n, n_neighbours, *features)
        """
        check_is_fitted(self, "rows_")
        rows = self.rows_.to(factual.device)
        owner = self.classes_of_rows_.to(factual.device)
        nearest = torch.empty(
            len(factual), self.n_neighbours, dtype=torch.long, device=factual.device
        )
        for k in target.unique():
            theirs = (owner == k).nonzero()[:, 0]
            mine = target == k
            if not len(theirs):  # nothing pulls
                nearest[mine] = len(rows) + mine.nonzero()
                continue
            gap = torch.cdist(factual[mine].flatten(1), rows[theirs].flatten(1), p=1)
            size = min(self.n_neighbours, len(theirs))
            order = gap.topk(size, dim=1, largest=False).indices
            # A class with fewer rows counts them in turn.
            turn = torch.arange(self.n_neighbours, device=factual.device) % size
            nearest[mine] = theirs[order[:, turn]]
        return torch.cat([rows, factual])[nearest]

    def penalty(self, state):
        """L1 distances from the factual and from its neighbours, of shape (n,)."""
        gap = (state.x.unsqueeze(1) - state.anchors).abs().flatten(2).sum(2).mean(1)
        return self.lambda_cost * distance(state) + self.lambda_gravity * gap


def evenly(rows, n):
    """At most `n` of the rows, evenly spaced."""
    if len(rows) <= n:
        return rows
    return rows[torch.linspace(0, len(rows) - 1, n, device=rows.device).long()]


GENERATORS = {
    "generic": GenericGenerator,
    "eccco": ECCCoGenerator,
    "revise": REVISEGenerator,
    "gravitational": GravitationalGenerator,
}


def make_generator(generator):
    """Build an unfitted generator from a name, or clone an instance.

    Parameters
    ----------
    generator : str or BaseGenerator

    Raises
    ------
    ValueError
        For an unknown name, or an object that is not a generator.
    """
    if isinstance(generator, str) and generator in GENERATORS:
        return GENERATORS[generator]()
    if isinstance(generator, BaseGenerator):
        return clone(generator)
    names = ", ".join(repr(name) for name in GENERATORS)
    raise wrong("generator", f"one of {names} or a BaseGenerator instance", generator)


def seed_generator(generator, seed):
    """Give a generator whose `random_state` is open the seed of what is around it."""
    if getattr(generator, "random_state", seed) is None:
        generator.set_params(random_state=seed)
    return generator
