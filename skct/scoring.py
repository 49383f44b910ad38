"""Scorers: plausibility, cost and robustness of recourse for `GridSearchCV`."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.metrics import get_scorer_names

from .exceptions import ConstraintWarning, ImputationWarning, SearchWarning
from .explain.judge import check_judge
from .generators.base import BaseGenerator
from .generators.registry import make_generator
from .scores import NAMES, NEED_GROUP, SCORES, Evaluation
from .utils.quiet import quiet
from .utils.validation import check_integer, check_real, parameter_error, unknown_name

__all__ = [
    "CounterfactualScorer",
    "SingleScorer",
    "counterfactual_scorer",
    "get_scorer",
]


@dataclass(frozen=True)
class CounterfactualScorer:
    """Scorer of several metrics at once; made by `counterfactual_scorer`.

    Called as ``scorer(estimator, X, y)``, it returns a dict of floats, as
    `cross_validate` and `GridSearchCV` understand it.
    """

    names: tuple[str, ...]
    generator: str | BaseGenerator | None = None
    confidence: float | None = None
    group: object = None
    length_scale: float | str = 5.0
    epsilon: float = 0.1
    noise: float = 0.1
    n_alternatives: int = 3
    n_models: int = 5
    judge: Any = None
    random_state: int = 0

    def __call__(
        self, estimator: BaseEstimator, X: ArrayLike, y: ArrayLike
    ) -> dict[str, float]:
        """Score a fitted classifier, or a Pipeline that ends in one."""
        evaluation = Evaluation(estimator, X, y, self)
        # "validity" already says how many searches fail, and cross-validation would
        # repeat the warnings in every fold.
        with quiet(SearchWarning, ConstraintWarning, ImputationWarning):
            return {name: evaluation.score(name) for name in self.names}

    def __repr__(self) -> str:
        return f"counterfactual_scorer({self._arguments(self.names)})"

    def _arguments(self, names: str | tuple[str, ...]) -> str:
        """Arguments in code, without those that have their default."""
        given = [
            f"{f.name}={getattr(self, f.name)!r}"
            for f in fields(self)[1:]
            if getattr(self, f.name) != f.default
        ]
        return ", ".join([repr(names), *given])


@dataclass(frozen=True)
class SingleScorer:
    """Scorer of one metric, made by `get_scorer`; returns a float."""

    scorer: CounterfactualScorer

    def __call__(self, estimator: BaseEstimator, X: ArrayLike, y: ArrayLike) -> float:
        """Score a fitted classifier, or a Pipeline that ends in one."""
        (value,) = self.scorer(estimator, X, y).values()
        return value

    def __repr__(self) -> str:
        return f"get_scorer({self.scorer._arguments(self.scorer.names[0])})"


def counterfactual_scorer(
    names: Sequence[str] = (
        "accuracy",
        "neg_implausibility",
        "neg_cost",
        "validity",
    ),
    **options: Any,
) -> CounterfactualScorer:
    """Make a scorer of several metrics that searches counterfactuals once.

    Greater is better for all of them. Factuals are all rows of X, the target of each is
    its runner-up class, and the reference rows are those of (X, y) (the classifier's
    own for a class that is missing there). Costs are in IQRs,
    distances from rows in units of the model input (see `CounterfactualExplanation`).

    Every row counts, so that a model is never rewarded for having few valid
    counterfactuals, and no score is NaN. A row without one gets the largest distance
    between a row of X and a reference row of its target class, and at least the largest
    of the valid rows. In the MMD its factual stands in, or a row of another class where
    the factual is of the target class itself. Shares count it as 0, the confidence gap
    as 1; the share of such rows adds as much of the largest cost to the gap of the
    burden, and takes as much from its ratio.

    Parameters
    ----------
    names : sequence of str
        Scores, which are the keys of the result: those of scikit-learn, such as
        "accuracy" and "roc_auc", and

        {scores}
    **options
        generator : str, BaseGenerator or None, default=None
            Search; None: as in `CounterfactualExplainer`. Name one where the grid goes
            over generators, so that all are compared by the same.
        confidence : float or None, default=None
            Target probability that a counterfactual has to reach; None: that of
            `CounterfactualExplainer`.
        group : str or int, default=None
            Raw column of the protected attribute, for the burden.
        length_scale : float or "median", default=5.0
            Of the MMD's kernel.
        epsilon : float, default=0.1
            Radius of the attack, in model-input units.
        noise : float, default=0.1
            Standard deviation of the noise in the recourse, in model-input units.
        n_alternatives : int, default=3
            Counterfactuals per row, for the diversity.
        n_models : int, default=5
            Models to train on bootstrap samples of (X, y), for the survival.
        judge : classifier, default=None
            Fitted to (X, y) as a DataFrame, for the confidence gap; None: gradient
            boosting on the raw columns.
        random_state : int, default=0
            Seed of attacks, noise, samples and retrained models.

    Returns
    -------
    scorer : CounterfactualScorer

    Raises
    ------
    ValueError
        For an unknown name or option, or a burden without `group`.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skct import CounterfactualTrainingClassifier
    >>> from skct.scoring import counterfactual_scorer
    >>> X, y = load_iris(return_X_y=True, as_frame=True)
    >>> clf = CounterfactualTrainingClassifier(random_state=0)
    >>> clf = clf.set_params(net__max_epochs=30, net__lr=0.01).fit(X, y)
    >>> scorer = counterfactual_scorer(("accuracy", "neg_cost", "validity"))
    >>> sorted(scorer(clf, X, y))
    ['accuracy', 'neg_cost', 'validity']
    """
    several = hasattr(names, "__iter__") and not isinstance(names, str)
    given: tuple[Any, ...] = tuple(names) if several else (names,)
    known = [f.name for f in fields(CounterfactualScorer)[1:]]
    for option in options:
        if option not in known:
            raise unknown_name("option", option, known, "counterfactual_scorer")
    scorer = CounterfactualScorer(given, **options)
    check_scorer(scorer)
    return scorer


def get_scorer(name: str, **options: Any) -> SingleScorer:
    """Make a scorer of one metric, for `HalvingGridSearchCV` or `OptunaSearchCV`.

    Parameters
    ----------
    name : str
        As in `counterfactual_scorer`.
    **options
        As in `counterfactual_scorer`.

    Returns
    -------
    scorer : SingleScorer
        Called as ``scorer(estimator, X, y)``, it returns a float.

    Raises
    ------
    ValueError
        For an unknown name or option.

    Examples
    --------
    >>> from skct.scoring import get_scorer
    >>> get_scorer("neg_implausibility")
    get_scorer('neg_implausibility')
    """
    return SingleScorer(counterfactual_scorer((name,), **options))


def check_scorer(scorer: CounterfactualScorer) -> None:
    """Check names and options of a scorer."""
    known = [*NAMES, *get_scorer_names()]
    for name in scorer.names:
        if name not in known:
            raise unknown_name("score", name, known, "counterfactual_scorer")
        if name in NEED_GROUP and scorer.group is None:
            raise ValueError(
                f"{name!r} compares groups of people: pass group=, the raw column of "
                "the protected attribute."
            )
    if not scorer.names or len(set(scorer.names)) < len(scorer.names):
        raise parameter_error(scorer, "names", "different names", scorer.names)
    if scorer.confidence is not None:
        check_real(scorer, "confidence", low=0, high=1, open_low=True, open_high=True)
    for name in ("epsilon", "noise"):
        check_real(scorer, name, low=0)
    for name in ("n_alternatives", "n_models"):
        check_integer(scorer, name, low=1)
    check_integer(scorer, "random_state", low=0)
    if not isinstance(scorer.length_scale, str) or scorer.length_scale != "median":
        check_real(scorer, "length_scale", low=0, open_low=True)
    if scorer.judge is not None:
        check_judge(scorer.judge)
    if scorer.generator is not None:
        make_generator(scorer.generator).check()


# The summaries are the list in the docstring, so that each name stands in one place.
_SUMMARIES = {name: str(f.__doc__).splitlines()[0] for name, f in SCORES.items()}
counterfactual_scorer.__doc__ = (counterfactual_scorer.__doc__ or "").replace(
    "{scores}", "\n        ".join(f'- "{n}": {text}' for n, text in _SUMMARIES.items())
)
