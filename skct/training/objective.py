"""`Objective`: what a net is trained on beside its own loss.

An objective decides how counterfactuals are searched in training (`search`), what they
are paired with (`pair`), and which loss terms come of the pairs (`terms`). Each has a
file of its own: `paper`, `teacher`. Its settings (weights, radius of nascent
counterfactuals) are its constructor parameters, as those of a generator are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple, Self

from sklearn.base import BaseEstimator
from torch import Generator, Tensor

from ..constraints import Constraints
from ..generators.base import BaseGenerator
from ..solvers.search import SearchResult
from ..utils.validation import check_real
from .pairs import Pairs, draw_neighbours

__all__ = ["Objective", "Outputs", "SearchTask", "Searched"]


class SearchTask(NamedTuple):
    """What the counterfactuals of an epoch are made of.

    Parameters
    ----------
    model : callable
        Maps a batch to logits, in eval mode: the net as it is now.
    factual : Tensor of shape (n, *features)
    label, target : int64 Tensor of shape (n,)
        Class of each factual, and the one to go to.
    X, y : Tensor
        All training rows and their class indices.
    generator : BaseGenerator
        Fitted; not to be changed.
    constraints : Constraints
    rng : torch.Generator
        Of this epoch; draw from nothing else.
    search : callable
        ``search(generator, epsilon=...)``: what a generator finds for these factuals,
        a `SearchResult`.
    """

    model: Callable[[Tensor], Tensor]
    factual: Tensor
    label: Tensor
    target: Tensor
    X: Tensor
    y: Tensor
    generator: BaseGenerator
    constraints: Constraints
    rng: Generator
    search: Callable[..., SearchResult]

    def of(self, rows: Tensor) -> SearchTask:
        """The same for some of the factuals.

        Parameters
        ----------
        rows : Tensor of shape (n,)
            Positions or a mask.

        Returns
        -------
        task : SearchTask
        """
        return self._replace(
            factual=self.factual[rows], label=self.label[rows], target=self.target[rows]
        )


class Searched(NamedTuple):
    """What the searches of an epoch have found, one row per factual.

    Attributes
    ----------
    factual : Tensor of shape (n, *features)
    label, predicted : int64 Tensor of shape (n,)
        Class of each factual, and the one predicted at the start of the epoch.
    result : SearchResult
        Counterfactuals, nascent counterfactuals, targets and maturity.
    """

    factual: Tensor
    label: Tensor
    predicted: Tensor
    result: SearchResult


class Outputs(NamedTuple):
    """What the net says about a chunk of pairs, for `Objective.terms`.

    Attributes
    ----------
    counterfactual, neighbour : Tensor of shape (n, n_classes)
        Logits in eval mode, with gradients to the weights.
    slopes : callable
        ``slopes(x, target)``: gradients of the log-odds of class `target` at rows `x`,
        of shape (n_rows, n_features) and in logits per unit of the model input, with
        gradients to the weights.
    constraints : Constraints
        On the model input.
    """

    counterfactual: Tensor
    neighbour: Tensor
    slopes: Callable[[Tensor, Tensor], Tensor]
    constraints: Constraints


class Objective(BaseEstimator):
    """Base class of objectives: a classification loss and terms on counterfactuals.

    The net minimises, with its own loss L (Equation 2 of [1]_),

        L(batch) + lambda_div * mean(divergence)
                 + lambda_adv * L(nascent counterfactuals)
                 + lambda_reg * mean(regulariser)

    An objective of your own needs `terms`; override `pair` or `search` if it pairs or
    searches counterfactuals in another way. All weights zero: plain training.
    `skct.testing.check_objective` tells whether it keeps the promises.

    Parameters
    ----------
    lambda_div, lambda_adv, lambda_reg : float, default=0.5, 0.25, 0.25
        Weights of divergence, adversarial loss and regulariser.
    epsilon : float, default=0.1
        Max-norm radius of nascent counterfactuals, in model-input units: the last state
        of each search within it is taken as an adversarial example.

    Attributes
    ----------
    regulariser : str
        Name of the regulariser in the history; a class attribute.
    learning_rate : float
        What ``CounterfactualNet(lr="auto")`` takes; a class attribute.
    needs_mature : bool
        Whether only mature counterfactuals teach anything, so that `fit` warns if there
        were hardly any; a class attribute.

    References
    ----------
    .. [1] Altmeyer et al., "Counterfactual Training: Teaching Models Plausible and
       Actionable Explanations", 2026.

    Examples
    --------
    >>> from skct import CounterfactualTrainingClassifier, Objective
    >>> class Closer(Objective):
    ...     regulariser = "squares"
    ...     def terms(self, pairs, outputs):
    ...         gap = outputs.neighbour - outputs.counterfactual
    ...         return gap.abs().sum(1), gap.square().sum(1)
    >>> clf = CounterfactualTrainingClassifier(objective=Closer(lambda_div=0.1))
    >>> clf.get_params()["objective__lambda_div"]
    0.1
    """

    regulariser: ClassVar[str] = "regulariser"
    learning_rate: ClassVar[float] = 1e-3
    needs_mature: ClassVar[bool] = True

    def __init__(
        self,
        *,
        lambda_div: float = 0.5,
        lambda_adv: float = 0.25,
        lambda_reg: float = 0.25,
        epsilon: float = 0.1,
    ):
        self.lambda_div = lambda_div
        self.lambda_adv = lambda_adv
        self.lambda_reg = lambda_reg
        self.epsilon = epsilon

    def check(self) -> Objective:
        """Raise a ValueError that names the first parameter out of range."""
        for name in ("lambda_div", "lambda_adv", "lambda_reg", "epsilon"):
            check_real(self, name, low=0)
        return self

    @property
    def weights(self) -> dict[str, float]:
        """The weights of the terms by name."""
        names = "lambda_div", "lambda_adv", "lambda_reg"
        return {name: getattr(self, name) for name in names}

    @property
    def trains_counterfactually(self) -> bool:
        """Whether any weight is above zero; else no counterfactual is needed."""
        return any(self.weights.values())

    def fit(self, X: Tensor, y: Tensor, class_weight: Tensor | None = None) -> Self:
        """Learn from the training rows before the first search; nothing by default.

        Parameters
        ----------
        X : Tensor of shape (n_rows, *features)
        y : int64 Tensor of shape (n_rows,)
        class_weight : Tensor of shape (n_classes,) or None
            Weights of the classes in the net's own loss.

        Returns
        -------
        self : Objective
        """
        return self

    def search(self, task: SearchTask) -> SearchResult:
        """Make the counterfactuals of an epoch: by the generator, unless overridden.

        Parameters
        ----------
        task : SearchTask

        Returns
        -------
        result : SearchResult
            One row per factual.
        """
        return task.search(task.generator, epsilon=self.epsilon)

    def adversarial_target(self, y_true: Tensor, y_predicted: Tensor) -> Tensor:
        """Label of the nascent counterfactuals: the ground truth by default.

        Parameters
        ----------
        y_true, y_predicted : int64 Tensor of shape (n,)
            Ground truth, and prediction at the start of the epoch, of the factuals.

        Returns
        -------
        label : int64 Tensor of shape (n,)
            As in the second version of the paper; the first takes the prediction.
        """
        return y_true

    def pair(
        self,
        X: Tensor,
        y: Tensor,
        searched: Searched,
        constraints: Constraints,
        rng: Generator,
    ) -> Any:
        """Put counterfactuals and what they are contrasted with together.

        By default each is paired with a random training row of its target class, whose
        immutable features are hidden from the contrast (Sec. III-D).

        Parameters
        ----------
        X : Tensor of shape (n_rows, *features)
            Training rows.
        y : int64 Tensor of shape (n_rows,)
            Their class indices.
        searched : Searched
            What was found for n of them.
        constraints : Constraints
        rng : torch.Generator
            Of this epoch; draw from nothing else.

        Returns
        -------
        pairs : Pairs
            Or another named tuple of tensors of length n that has its fields.
        """
        result = searched.result
        neighbour = X[draw_neighbours(result.target, y, rng)]
        return Pairs(
            result.nascent,
            self.adversarial_target(searched.label, searched.predicted),
            result.counterfactual,
            constraints.protect(neighbour, result.counterfactual),
            result.target,
            searched.factual,
            result.mature,
        )

    def terms(self, pairs: Any, outputs: Outputs) -> tuple[Tensor, Tensor]:
        """Divergence and regulariser of each pair.

        Parameters
        ----------
        pairs : Pairs
            A chunk of what `pair` returned: n of them.
        outputs : Outputs
            What the net says about them.

        Returns
        -------
        divergence, regulariser : Tensor of shape (n,)
            Differentiable; their means are weighted with `lambda_div` and `lambda_reg`.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `terms`.")
