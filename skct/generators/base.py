"""`BaseGenerator`: what the search minimises besides the class loss."""

from typing import NamedTuple, Self

from sklearn.base import BaseEstimator
from torch import Tensor

from ..utils.validation import check_integer, check_real

__all__ = ["BaseGenerator", "SearchState"]


class SearchState(NamedTuple):
    """What a penalty may look at, for the rows that are still searched.

    `x` is the relaxed state of shape (n, *features), `logits` are those of the snapped
    state; `step` counts from 1 to `max_iter`; `weights` has the shape of `x`, or is
    None for equal weights; `anchors` is what `BaseGenerator.anchors` returned for these
    rows. Penalties are differentiated with respect to `x` and `logits`, which is a leaf
    of the graph: what happens between the two is the search's business.
    """

    x: Tensor
    factual: Tensor
    logits: Tensor
    target: Tensor
    step: int
    max_iter: int
    weights: Tensor | None = None
    anchors: Tensor | None = None


def distance(state: SearchState, scale: Tensor | None = None) -> Tensor:
    """Weighted L1 distance of each row from its factual, of shape (n,)."""
    change = (state.x - state.factual).abs()
    if state.weights is not None:
        change = change * state.weights
    if scale is not None:
        change = change * scale
    return change.flatten(1).sum(1)


class BaseGenerator(BaseEstimator):
    """Protocol of all generators: hyper-parameters, one penalty, maybe a latent space.

    A generator of your own needs `penalty`, and a constructor if it has parameters of
    its own; the search, constraints and batching come for free. What it learns from the
    training rows it learns in `fit` and keeps in attributes that end in ``_``.
    `skct.testing.check_generator` tells whether it keeps the promises.

    Class attributes say what others need to know: `latent`, `fitted_attributes` (names
    of what `fit` learns) and `holds_training_rows` (whether that has rows of the
    training data in it, which a saved model hands on only if asked to).

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
    ...     def penalty(self, state: SearchState) -> Tensor:
    ...         return 0 * state.logits[:, 0]
    >>> Greedy(max_iter=50)
    Greedy(max_iter=50)
    """

    latent: bool = False  # True: the search moves z and looks at x = decode(z)
    fitted_attributes: tuple[str, ...] = ()
    holds_training_rows: bool = False

    def __init__(
        self,
        *,
        max_iter: int = 30,
        step_size: float = 0.1,
        threshold: float = 0.5,
        lambda_cost: float = 0.001,
    ):
        self.max_iter = max_iter
        self.step_size = step_size
        self.threshold = threshold
        self.lambda_cost = lambda_cost

    def check(self) -> Self:
        """Raise a ValueError that names the first parameter out of range."""
        check_integer(self, "max_iter", low=1)
        check_real(self, "step_size", low=0, open_low=True)
        check_real(self, "threshold", low=0, high=1, open_low=True, open_high=True)
        check_real(self, "lambda_cost", low=0)
        return self

    def fit(self, X: Tensor, y: Tensor | None = None) -> Self:
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

    def anchors(self, factual: Tensor, target: Tensor) -> Tensor | None:
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

    def encode(self, x: Tensor) -> Tensor:
        """Model input to latent code, deterministic; the identity by default.

        Parameters
        ----------
        x : Tensor of shape (n, *features)

        Returns
        -------
        z : Tensor of shape (n, ...)
        """
        return x

    def decode(self, z: Tensor) -> Tensor:
        """Latent code to model input; the identity by default.

        Parameters
        ----------
        z : Tensor of shape (n, ...)

        Returns
        -------
        x : Tensor of shape (n, *features)
        """
        return z

    def penalty(self, state: SearchState) -> Tensor:
        """Penalty of each row, added to the class loss of its target.

        Parameters
        ----------
        state : SearchState

        Returns
        -------
        penalty : Tensor of shape (n,)
        """
        raise NotImplementedError(f"{type(self).__name__} must define `penalty`.")
