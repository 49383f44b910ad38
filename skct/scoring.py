"""Scorers: plausibility, cost and robustness of recourse for `GridSearchCV`."""

from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist
from sklearn.metrics import get_scorer as get_sklearn_scorer
from sklearn.metrics import get_scorer_names
from sklearn.utils import column_or_1d
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from . import metrics
from .attribution import faithfulness, integrated_gradients, sensitivity
from .constraints.spec import resolve_position
from .encoding.frames import get
from .exceptions import ConstraintWarning, ImputationWarning, SearchWarning
from .explain.explained_model import Explainable, unwrap
from .explain.explainer import CounterfactualExplainer
from .generators.base import BaseGenerator
from .generators.registry import make_generator
from .robustness import recourse_robustness, robust_accuracy, stability
from .utils.polars import as_pandas
from .utils.quiet import quiet
from .utils.validation import check_integer, check_real, parameter_error, unknown_name

__all__ = [
    "CounterfactualScorer",
    "SingleScorer",
    "counterfactual_scorer",
    "get_scorer",
]


CHUNK = 2**20  # pairs of rows whose distances are held at a time
NAMES = (
    "neg_implausibility",
    "neg_mmd",
    "neg_cost",
    "validity",
    "redundancy",
    "diversity",
    "neg_faithfulness",
    "neg_sensitivity",
    "robust_accuracy",
    "recourse_robustness",
    "stability",
    "neg_burden_gap",
    "burden_ratio",
)


@dataclass(frozen=True)
class CounterfactualScorer:
    """Scorer of several metrics at once; made by `counterfactual_scorer`.

    Called as ``scorer(estimator, X, y)``, it returns a dict of floats, as
    `cross_validate` and `GridSearchCV` understand it.
    """

    names: tuple[str, ...]
    generator: str | BaseGenerator | None = None
    group: object = None
    length_scale: float | str = 5.0
    epsilon: float = 0.1
    noise: float = 0.1
    n_alternatives: int = 3
    n_models: int = 5
    random_state: int = 0

    def __call__(self, estimator, X, y):
        """Score a fitted classifier, or a Pipeline that ends in one.

        Parameters
        ----------
        estimator : CounterfactualTrainingClassifier or Pipeline
        X : DataFrame or array-like of shape (n, *features)
        y : array-like of shape (n,)

        Returns
        -------
        scores : dict of str to float
        """
        fold = Fold(estimator, X, y, self)
        # The first two are told by the score.
        with quiet(SearchWarning, ConstraintWarning, ImputationWarning):
            return {name: fold.score(name) for name in self.names}

    def __repr__(self):
        return f"counterfactual_scorer({self.arguments(self.names)})"

    def arguments(self, names):
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

    def __call__(self, estimator, X, y):
        """Score a fitted classifier, or a Pipeline that ends in one."""
        (value,) = self.scorer(estimator, X, y).values()
        return value

    def __repr__(self):
        return f"get_scorer({self.scorer.arguments(self.scorer.names[0])})"


def counterfactual_scorer(
    names=("accuracy", "neg_implausibility", "neg_cost", "validity"), **options
):
    """Make a scorer of several metrics that searches counterfactuals once.

    Greater is better for all of them. Factuals are all rows of X, the target of each is
    its runner-up class, and the reference rows are those of (X, y) (the classifier's
    own for a class that is missing there). Every row counts: one without a valid answer
    gets the largest distance between a row of X and a reference row of its target
    class, and at least the worst value of the valid answers; in the MMD its factual
    stands in, or a row of another class where the factual is of the target class
    itself; shares count it as 0. So a model is never rewarded for having few valid
    answers, and no score is NaN.

    Parameters
    ----------
    names : sequence of str
        Scores, which are the keys of the result; those of scikit-learn, such as
        "accuracy" and "roc_auc", and

        - "validity": share of rows with a valid counterfactual;
        - "neg_implausibility", "neg_mmd", "neg_cost": minus mean L1 implausibility,
          squared MMD (mean over target classes, by their rows) and mean L1 cost, in
          standardised units;
        - "redundancy": mean share of columns that stay as they are;
        - "diversity": mean L1 distance between the alternatives of a row;
        - "neg_faithfulness": minus mean L1 distance to samples of the model's own
          conditional of the target class;
        - "neg_sensitivity": minus the share of the model's integrated gradients that
          falls on features which cannot change;
        - "robust_accuracy": accuracy under PGD of radius `epsilon`;
        - "recourse_robustness": mean share of answers that stay valid under noise;
        - "stability": mean share of models, retrained on bootstrap samples of the
          (X, y) passed, under which answers stay valid;
        - "neg_burden_gap", "burden_ratio": minus the difference between the mean costs
          of the dearest and the cheapest group, and the smaller divided by the larger;
          the share of rows without an answer adds as much of the largest cost to the
          gap, and takes as much from the ratio.
    **options
        generator : str, BaseGenerator or None, default=None
            Search; None: as in `CounterfactualExplainer`. Name one where the grid goes
            over generators, so that all are judged by the same.
        group : str or int, default=None
            Raw column of the protected attribute, for the burden.
        length_scale : float or "median", default=5.0
            Of the MMD's kernel.
        epsilon : float, default=0.1
            Radius of the attack, in model-input units.
        noise : float, default=0.1
            Standard deviation of the noise in the recourse, in model-input units.
        n_alternatives : int, default=3
            Answers per row, for the diversity.
        n_models : int, default=5
            Retrained models, for the stability.
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
    one = isinstance(names, str) or not hasattr(names, "__iter__")
    names = (names,) if one else tuple(names)
    known = [f.name for f in fields(CounterfactualScorer)[1:]]
    for option in options:
        if option not in known:
            raise unknown_name("option", option, known, "counterfactual_scorer")
    scorer = CounterfactualScorer(names, **options)
    check_scorer(scorer)
    return scorer


def get_scorer(name, **options):
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


def check_scorer(scorer):
    """Check names and options of a scorer."""
    known = [*NAMES, *get_scorer_names()]
    for name in scorer.names:
        if name not in known:
            raise unknown_name("score", name, known, "counterfactual_scorer")
        if "burden" in name and scorer.group is None:
            raise ValueError(
                f"{name!r} compares groups of people: pass group=, the raw column of "
                "the protected attribute."
            )
    if not scorer.names or len(set(scorer.names)) < len(scorer.names):
        raise parameter_error(scorer, "names", "different names", scorer.names)
    for name in ("epsilon", "noise"):
        check_real(scorer, name, low=0)
    for name in ("n_alternatives", "n_models"):
        check_integer(scorer, name, low=1)
    check_integer(scorer, "random_state", low=0)
    by_median = isinstance(scorer.length_scale, str) and scorer.length_scale == "median"
    if not by_median:
        check_real(scorer, "length_scale", low=0, open_low=True)
    if scorer.generator is not None:
        make_generator(scorer.generator).check()


class Fold:
    """A model and the rows it is scored on: searched once, and only if need be."""

    def __init__(self, estimator, X, y, options):
        inner = unwrap(estimator)[1]
        if not isinstance(inner, Explainable):
            raise ValueError(
                "The scorer needs a CounterfactualTrainingClassifier, or a Pipeline "
                f"that ends in one. Got {type(inner).__name__}."
            )
        check_is_fitted(inner)
        self.estimator, self.X, self.options = estimator, X, options
        self.y = column_or_1d(y)
        check_consistent_length(X, self.y)
        self.seed = {"random_state": options.random_state}

    def score(self, name):
        """One score; greater is better."""
        if name in NAMES:
            return float(getattr(self, name)())
        return float(get_sklearn_scorer(name)(self.estimator, self.X, self.y))

    # ------------------------------------------------------------- what they share

    @cached_property
    def explainer(self):
        """What searches."""
        explainer = CounterfactualExplainer(
            self.estimator, generator=self.options.generator, **self.seed
        )
        kept_nothing = unwrap(self.estimator)[1].reference_ is None
        if self.options.generator is not None and kept_nothing:
            explainer.fit(self.X, self.y)  # the generator may have to learn
        return explainer

    @cached_property
    def answer(self):
        """Counterfactuals of all rows, for their runner-up classes."""
        return self.explainer.explain(self.X)

    @cached_property
    def inspected(self):
        """Model, encoding and constraints, and X, checked and dense."""
        return self.explainer.inspect(self.X)

    @property
    def table(self):
        """X, checked and dense."""
        return self.inspected[1]

    @property
    def view(self):
        """Model, encoding and constraints."""
        return self.inspected[0]

    @cached_property
    def encoded(self):
        """Model input of the factuals."""
        return self.view.space.encode(self.table)

    @cached_property
    def settled(self):
        """Model input of the counterfactuals."""
        return self.view.space.encode(as_pandas(self.answer.counterfactual))

    @cached_property
    def labels(self):
        """Class index of each row; -1 for a label that the model does not know."""
        return pd.Index(self.view.classes).get_indexer(np.asarray(self.y))

    @cached_property
    def target(self):
        """Class index of each target."""
        return pd.Index(self.view.classes).get_indexer(self.answer.target)

    def coordinates(self, encoded):
        """Standardised units, in which a changed category counts 1."""
        return self.view.space.coordinates(encoded)[0]

    def reference(self, code):
        """Rows of a class: those passed, else the classifier's own, else all passed."""
        rows = self.encoded[self.labels == code]
        if not len(rows) and self.view.reference is not None:
            stored, codes = self.view.reference
            rows = stored[codes == code]
        return self.coordinates(rows if len(rows) else self.encoded)

    def penalized(self, values, references):
        """Values of all rows, an invalid one with the worst of its target class."""
        values, valid = np.array(values, dtype=float), self.answer.valid
        worst = values[valid].max(initial=0.0)
        factual = self.coordinates(self.encoded)
        for code in np.unique(self.target[~valid]):
            rows = ~valid & (self.target == code)
            values[rows] = max(worst, farthest(factual, references(code)))
        return values

    @cached_property
    def costs(self):
        """L1 cost of each row, penalised."""
        return self.penalized(self.answer.cost, self.reference)

    def immutable(self):
        """Positions of the model-input features that cannot change."""
        constraints = self.view.constraints
        free = constraints.can_increase | constraints.can_decrease
        return np.flatnonzero(~free.flatten().numpy())

    # -------------------------------------------------------------------- the scores

    def validity(self):
        """Share of rows with a valid answer."""
        return self.answer.valid.mean()

    def redundancy(self):
        """Share of columns that stay; 0 for an invalid row."""
        n_columns = len(self.view.space.feature_names)
        return ((1 - self.answer.n_changed / n_columns) * self.answer.valid).mean()

    def neg_cost(self):
        """Minus the mean cost."""
        return -self.costs.mean()

    def neg_implausibility(self):
        """Minus the mean distance from rows of the target class."""
        after, values = self.coordinates(self.settled), np.empty(len(self.target))
        for code in np.unique(self.target):
            rows = self.target == code
            values[rows] = metrics.implausibility(after[rows], self.reference(code))
        return -self.penalized(values, self.reference).mean()

    def neg_mmd(self):
        """Minus the MMD of each target class, averaged by its rows."""
        after, total = self.coordinates(self.settled), 0.0
        for code in np.unique(self.target):
            rows = self.target == code
            lost = np.flatnonzero(rows & ~self.answer.valid)
            after[lost] = self.stand_ins(lost, code)
            pair = at_least_two(after[rows]), at_least_two(self.reference(code))
            value = metrics.mmd(*pair, length_scale=self.options.length_scale)
            total += rows.mean() * value
        return -total

    def stand_ins(self, rows, code):
        """Factuals, but none of the target class where there are others."""
        other = np.flatnonzero(self.labels != code)
        own = self.labels[rows] == code
        if len(other):
            rows = np.where(own, other[np.arange(len(rows)) % len(other)], rows)
        return self.coordinates(self.encoded)[rows]

    def diversity(self):
        """Distance between alternatives; those that are not valid add nothing."""
        k = self.options.n_alternatives
        answer = self.explainer.explain(self.X, n_alternatives=k)
        encoded = self.view.space.encode(as_pandas(answer.counterfactual))
        places = self.coordinates(encoded).reshape(len(self.y), k, -1)
        valid = answer.valid.reshape(-1, k, 1)
        return metrics.diversity(np.where(valid, places, places[:, :1])).mean()

    def neg_faithfulness(self):
        """Minus the mean distance from samples of the model's own conditional."""
        bounds = self.encoded.min(0), self.encoded.max(0)
        values = faithfulness(
            self.view.module, self.settled, self.target, bounds, **self.seed
        )
        return -self.penalized(values, self.reference).mean()

    def neg_sensitivity(self):
        """Minus the share of attribution on features that cannot change."""
        if not len(self.immutable()):
            return 0.0
        attribution = integrated_gradients(
            self.view.module, self.encoded, self.predicted()
        )
        return -sensitivity(attribution, self.immutable(), standardize="share")

    def predicted(self):
        """Class index that the model predicts."""
        return pd.Index(self.view.classes).get_indexer(self.estimator.predict(self.X))

    def robust_accuracy(self):
        """Accuracy under attack; a row whose label is unknown is wrong."""
        known = self.labels >= 0
        if not known.any():
            return 0.0
        (share,) = robust_accuracy(
            self.view.module,
            self.encoded[known],
            self.labels[known],
            epsilons=(self.options.epsilon,),
            **self.seed,
        )
        return share * known.mean()

    def recourse_robustness(self):
        """Share of answers that stay valid under noise."""
        shares = recourse_robustness(
            self.view.module,
            self.settled,
            self.target,
            noise=self.options.noise,
            constraints=self.view.constraints,
            factual=self.encoded,
            **self.seed,
        )
        return (shares * self.answer.valid).mean()

    def stability(self):
        """Share of retrained models under which answers stay valid.

        0 where the rows have one label only, since nothing can be retrained.
        """
        if len(np.unique(self.labels)) < 2:
            return 0.0
        return stability(
            self.estimator,
            self.answer,
            self.X,
            self.y,
            n_models=self.options.n_models,
            n_jobs=1,  # the search over models is what runs in parallel
            **self.seed,
        ).mean()

    def burden(self):
        """Costs by group; invalid rows count with their penalty."""
        names = self.view.space.feature_names
        position = resolve_position(self.options.group, names, "group")
        everyone = np.ones(len(self.costs), dtype=bool)
        return metrics.burden(self.costs, everyone, get(self.table, position))

    def neg_burden_gap(self):
        """Minus the difference of the mean costs of the groups."""
        lack = 1 - self.answer.valid.mean()
        return -(self.burden().cost_gap + lack * self.costs.max())

    def burden_ratio(self):
        """Smallest mean cost of a group, relative to the largest."""
        return self.burden().cost_ratio * self.answer.valid.mean()


def farthest(a, b):
    """Largest L1 distance between a row of `a` and a row of `b`."""
    size = max(1, CHUNK // len(b))
    return max(
        cdist(a[i : i + size], b, "cityblock").max() for i in range(0, len(a), size)
    )


def at_least_two(rows):
    """Rows for an unbiased estimate; a lone one counts twice."""
    return np.concatenate([rows, rows]) if len(rows) == 1 else rows
