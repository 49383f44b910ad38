"""Counterfactual generators: what the search minimises besides the class loss."""

from typing import NamedTuple

from sklearn.base import BaseEstimator, clone
from torch import Tensor

from ._validation import check_integer, check_real
from .losses import energy

__all__ = ["BaseGenerator", "ECCCoGenerator", "GenericGenerator", "make_generator"]


class SearchState(NamedTuple):
    """What a penalty may look at, for the rows that are still searched.

    `x` is the relaxed state of shape (n, *features), `logits` are those of the snapped
    state; `step` counts from 1 to `max_iter`; `weights` has the shape of one row, or
    is None for equal weights.
    """

    x: Tensor
    factual: Tensor
    logits: Tensor
    target: Tensor
    step: int
    max_iter: int
    weights: Tensor | None = None


def distance(state):
    """Weighted L1 distance of each row from its factual, of shape (n,)."""
    change = (state.x - state.factual).abs()
    if state.weights is not None:
        change = change * state.weights
    return change.flatten(1).sum(1)


class BaseGenerator(BaseEstimator):
    """Protocol of all generators: hyper-parameters, one penalty, maybe a latent space.

    A generator of your own needs a constructor and `penalty`; the search, constraints
    and batching come for free.

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

    def encode(self, x):
        """Model input to latent code, deterministic; the identity by default."""
        return x

    def decode(self, z):
        """Latent code to model input; the identity by default."""
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


class GenericGenerator(BaseGenerator):
    """Closest counterfactuals: class loss plus L1 distance, after Wachter et al. [1]_.

    Parameters are those of `BaseGenerator`.

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

    def penalty(self, state):
        """L1 distance from the factual, of shape (n,)."""
        return self.lambda_cost * distance(state)


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


def energy_schedule(step, max_iter):
    """Decaying factor of the energy term; 0 throughout for ``max_iter < 13``."""
    offset = round(max_iter / 25)
    return offset / 10 * (offset + step) ** -0.9


GENERATORS = {"generic": GenericGenerator, "eccco": ECCCoGenerator}


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
    raise ValueError(
        f"The 'generator' parameter must be one of {names} or a BaseGenerator "
        f"instance. Got {generator!r} instead."
    )
