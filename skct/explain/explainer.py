"""`CounterfactualExplainer`: counterfactuals of a fitted model, in raw units."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin, clone
from sklearn.utils import Tags, get_tags
from sklearn.utils.validation import check_consistent_length, check_is_fitted
from torch import nn
from tqdm.auto import tqdm

from ..encoding.frames import take
from ..encoding.reference import Reference, draw_reference
from ..encoding.rules import warn_outside
from ..encoding.space import FeatureSpace
from ..generators.base import BaseGenerator
from ..generators.eccco import ECCCoGenerator
from ..generators.registry import make_generator, seed_generator
from ..utils.caller import in_own_torch
from ..utils.dask import dask_token
from ..utils.model import module_device
from ..utils.random import Seed, draw_seed
from ..utils.validation import (
    is_integer,
    label_codes,
    names_restored,
    parameter_error,
    validate_labels,
    validate_table,
)
from .alternatives import random_feature_weights
from .batch import explain_batch
from .checks import check_parameters
from .evaluate import concatenate, restore_type
from .explained_model import (
    Explainable,
    ExplainedModel,
    class_labels,
    feature_space,
    is_fitted,
    is_net,
    logit_module,
    rules_and_constraints,
    seed_open_states,
    unwrap,
)
from .explanation import CounterfactualExplanation
from .requests import (
    Settings,
    check_confidence,
    column_weights,
    target_codes,
    warn_about,
)

__all__ = ["CounterfactualExplainer", "as_explainer"]


BATCH_SIZE = 10_000
CONFIDENCE = 0.8  # at 0.5 a retrained model refuses much of the advice


class CounterfactualExplainer(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """What would have to change for another decision, in raw columns and units.

    Parameters
    ----------
    estimator : CounterfactualTrainingClassifier, skorch net, torch module or Pipeline
        What is explained, or a Pipeline that ends in it, or a `FrozenEstimator` around
        it. Fitted: used as it is; unfitted: cloned and fitted in `fit`. A torch module
        counts as fitted and has to return one logit per class.
    generator : str, BaseGenerator or None, default=None
        Search: "eccco", "generic", "revise" or "gravitational", with ``max_iter=200``,
        or an instance. None: the one used in training, with `max_iter` at least 200.
        Its `threshold` does not count here: `confidence` does. What a given one has to
        learn it learns in `fit`; without a `fit` it does so from the classifier's
        reference rows in every `explain`.
    mutability, domain : default="inherit"
        As in `CounterfactualTrainingClassifier`, in the columns and units of the X
        given here. "inherit": what the classifier was trained with (a net or module:
        unconstrained).
    target : label, array-like or None, default=None
        Default target: one label or one per row; None: the runner-up class of each row.
    confidence : float, default=0.8
        Target probability that a counterfactual has to reach, at least that of chance,
        1 / n_classes; below 0.5 the search goes on to 0.5, where the target is sure to
        be the most probable class. At 0.5 it ends on the decision boundary, and a model
        that is trained again may refuse what this one has asked for; more confidence
        costs more.
    feature_weights : dict, array-like or None, default=None
        Cost of each raw column (name or position -> weight > 0; unlisted 1).
    refine : bool, default=True
        Look for cheaper, sparser and more plausible counterfactuals than those of the
        search, feature by feature. False: as the generator has found them.
    plausibility_weight : float, default=0.5
        What a unit of implausibility is worth to `refine`, in units of cost. 0: the
        cheapest ones; above 1 they move on to where most rows of the target class
        lie. Without reference rows it has no effect.
    batch_size : int or None, default=None
        Rows that are worked on together, which bounds memory; None: 10,000.
    random_state : int, RandomState or None, default=None
        Seed for fitting an unfitted estimator and for drawing reference rows.
    verbose : int, default=0
        1 shows a progress bar.

    Attributes
    ----------
    estimator_ : estimator
        The fitted model; the very object that was passed if it was fitted.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Only if X had string column names.

    Notes
    -----
    Around a fitted classifier, or a Pipeline that ends in one, `explain` and
    `transform` work without `fit`. `clone` forgets a fit, so in cross-validation wrap
    a fitted model in `sklearn.frozen.FrozenEstimator`.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skct import CounterfactualExplainer, CounterfactualTrainingClassifier
    >>> X, y = load_iris(return_X_y=True, as_frame=True)
    >>> clf = CounterfactualTrainingClassifier(random_state=0)
    >>> clf.set_params(net__max_epochs=30, net__lr=0.01).fit(X, y).n_iter_
    30
    >>> explainer = CounterfactualExplainer(clf, mutability={0: "none"}, target=1)
    >>> explainer.explain(X[:5], confidence=0.5)
    <CounterfactualExplanation: 5 rows, 5 valid>
    """

    def __init__(
        self,
        estimator: Any,
        *,
        generator: str | BaseGenerator | None = None,
        mutability: Mapping | ArrayLike | None = "inherit",
        domain: str | Mapping | None = "inherit",
        target: Any = None,
        confidence: float = CONFIDENCE,
        feature_weights: Mapping | ArrayLike | None = None,
        refine: bool = True,
        plausibility_weight: float = 0.5,
        batch_size: int | None = None,
        random_state: Seed = None,
        verbose: int = 0,
    ):
        self.estimator = estimator
        self.generator = generator
        self.mutability = mutability
        self.domain = domain
        self.target = target
        self.confidence = confidence
        self.feature_weights = feature_weights
        self.refine = refine
        self.plausibility_weight = plausibility_weight
        self.batch_size = batch_size
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.input_tags.sparse = True
        inner = unwrap(self.estimator)[1]
        if isinstance(inner, Explainable):
            inner_tags = get_tags(inner).input_tags
            tags.input_tags.allow_nan = inner_tags.allow_nan
            tags.input_tags.string = inner_tags.string
            tags.input_tags.categorical = inner_tags.categorical
        return tags

    __dask_tokenize__ = dask_token

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "estimator_") or self._is_self_sufficient()

    def get_feature_names_out(
        self, input_features: ArrayLike | None = None
    ) -> np.ndarray:
        """Names of the columns of the counterfactuals: those of X.

        Parameters
        ----------
        input_features : array-like of str, optional

        Returns
        -------
        names : ndarray of str
        """
        check_is_fitted(self)
        if hasattr(self, "n_features_in_") or input_features is not None:
            return super().get_feature_names_out(input_features)
        owner = self._owner()
        numbered = [f"x{i}" for i in range(owner.n_features_in_)]
        return np.asarray(getattr(owner, "feature_names_in_", numbered), dtype=object)

    def _is_self_sufficient(self) -> bool:
        """Whether the classifier inside brings everything, so that no fit is needed."""
        inner = unwrap(self.estimator)[1]
        return isinstance(inner, Explainable) and is_fitted(inner)

    # ------------------------------------------------------------------- learning

    @in_own_torch
    def fit(self, X: Any, y: ArrayLike) -> Self:
        """Keep reference rows; fit the estimator if it is not fitted.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n, *features)
        y : array-like of shape (n,)

        Returns
        -------
        self : CounterfactualExplainer

        Raises
        ------
        ValueError
            For wrong parameters, labels that the model does not know, or a
            preprocessing step that cannot be inverted.
        """
        check_parameters(self)
        inner = unwrap(self.estimator)[1]
        with names_restored(self):
            X, y = self._validate(X, reset=True), validate_labels(self, y)
            check_consistent_length(X, y)
            if self._is_self_sufficient():
                self._validate(X, reset=False, owner=self._owner())
            rng = np.random.default_rng(draw_seed(self.random_state))
            estimator = self.estimator
            if not is_fitted(inner):
                estimator = clone(estimator)
                seed_open_states(estimator, rng)
                labels = np.unique(y)
                estimator.fit(X, label_codes(y, labels) if is_net(inner) else y)
            space = feature_space(estimator, X, learn=True)
            classes = class_labels(estimator, space, X, y)
            codes = label_codes(y, classes)
            learnt = space, classes, draw_reference(space, X, codes, rng)
            model = self._model(estimator, *learnt)  # wrong constraints show here
            column_weights(self, space)
            if np.ndim(self.target) == 0:
                target_codes(self.target, len(X), classes)
        self._learnt, self.estimator_ = (*learnt, model.generator), estimator
        return self

    def _owner(self) -> Any:
        """The object whose column names count where the explainer is not fitted."""
        front, inner = unwrap(self.estimator)
        return front[0][1] if front else inner

    def _validate(self, X: Any, *, reset: bool, owner: Any = None) -> Any:
        """Check the table against what was seen in fit, here or by the estimator."""
        front, inner = unwrap(self.estimator)
        if owner is None:
            fitted_here = reset or hasattr(self, "estimator_")
            owner = self if fitted_here else self._owner()
        plain_input = not isinstance(inner, Explainable)
        return validate_table(
            owner,
            X,
            reset=reset,
            allow_nan=self.__sklearn_tags__().input_tags.allow_nan or bool(front),
            allow_nd=(plain_input or inner.preprocessor is None) and not front,
        )

    def _model(
        self,
        estimator: Any,
        space: FeatureSpace,
        classes: np.ndarray,
        reference: Reference | None,
        generator: BaseGenerator | None = None,
    ) -> ExplainedModel:
        """Unwrap the model, and translate constraints to its input."""
        rules, constraints = rules_and_constraints(
            estimator, space, self.mutability, self.domain
        )
        inner = unwrap(estimator)[1]
        module = logit_module(inner)
        if generator is None:
            classifier = inner if isinstance(inner, Explainable) else None
            generator = self._generator(classifier, module, reference)
        model = ExplainedModel(
            module, space, rules, constraints, classes, reference, generator
        )
        return model.asked_for(self.confidence)

    def inspect(self, X: Any) -> tuple[ExplainedModel, Any]:
        """Model, encoding and constraints behind the estimator; what displays draw.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n, *features)

        Returns
        -------
        model : ExplainedModel
            Named tuple of `module`, `space`, `rules`, `constraints`, `classes`,
            `reference` and `generator`.
        table : DataFrame or ndarray
            X as it was checked.

        Raises
        ------
        NotFittedError
            If neither the explainer nor the classifier in it is fitted.
        """
        check_parameters(self)
        check_is_fitted(self)
        X = self._validate(X, reset=False)
        if hasattr(self, "_learnt"):
            return self._model(self.estimator_, *self._learnt), X
        inner = unwrap(self.estimator)[1]
        space = feature_space(self.estimator, X, learn=False)
        learnt = space, inner.classes_, inner.reference_
        return self._model(self.estimator, *learnt), X

    def _generator(
        self,
        classifier: Explainable | None,
        module: nn.Module,
        reference: Reference | None,
    ) -> BaseGenerator:
        """The generator given, or the trained one made more patient; fitted."""
        if self.generator is not None:
            generator = make_generator(self.generator)
            if isinstance(self.generator, str):
                generator.set_params(max_iter=200)
        elif classifier is None:
            return ECCCoGenerator(max_iter=200)
        else:
            generator = self._trained(classifier)
            if classifier.net_.objective_.trains_counterfactually:
                return generator
        if reference is not None:
            seed = self.random_state
            if seed is None and classifier is not None:
                seed = classifier.seed_
            seed_generator(generator, draw_seed(seed))
            rows, codes = (torch.from_numpy(part) for part in reference)
            device = module_device(module)
            generator.fit(rows.to(device), codes.to(device))
        return generator

    @staticmethod
    def _trained(classifier: Explainable) -> BaseGenerator:
        """What training has searched with, made more patient."""
        trained = deepcopy(classifier.generator_)
        return trained.set_params(max_iter=max(200, trained.max_iter))

    # ----------------------------------------------------------------- explaining

    def transform(self, X: Any) -> Any:
        """Counterfactual table: same columns, types and units as X.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n, *features)

        Returns
        -------
        counterfactual : same type as X
        """
        return self.explain(X).counterfactual

    @in_own_torch
    def explain(
        self,
        X: Any,
        target: Any = None,
        *,
        confidence: float | None = None,
        n_alternatives: int = 1,
    ) -> CounterfactualExplanation:
        """Search a counterfactual for every row, or several different ones.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n, *features)
        target : label or array-like of shape (n,), optional
            One label for all rows, or one per row; None: the constructor's.
        confidence : float, optional
            Target probability to reach; None: the constructor's.
        n_alternatives : int, default=1
            Counterfactuals per row, valid and cheap ones that differ most from each
            other. The first is the one that a row would get alone, if that is valid.

        Returns
        -------
        explanation : CounterfactualExplanation
            Of n rows, or ``n * n_alternatives``: the alternatives of a row follow each
            other, and frames have a (row, alternative) index.

        Raises
        ------
        NotFittedError
            If neither the explainer nor the classifier in it is fitted.
        ValueError
            For an unknown target, `confidence` that is no probability or below that
            of chance, `n_alternatives` below 1, or columns other than those seen in
            `fit`.

        Warns
        -----
        SearchWarning
            Once, if rows are already predicted as their target (they come back
            unchanged), once if rows have no valid counterfactual, once if theirs stay
            below `confidence`, and once if rows have fewer different ones than
            `n_alternatives`.
        ConstraintWarning
            If factuals lie outside a domain that was given.

        Notes
        -----
        Alternatives come from searches in which some columns cost more than others, the
        same for all rows; of these candidates a determinantal point process keeps the
        most diverse.
        """
        check_parameters(self)
        if not is_integer(n_alternatives) or n_alternatives < 1:
            allowed = "an integer >= 1"
            raise parameter_error(self, "n_alternatives", allowed, n_alternatives)
        kept_type = X
        model, X = self.inspect(X)
        if confidence is None:
            confidence = self.confidence
        check_confidence(self, confidence, len(model.classes))
        model = model.asked_for(confidence)
        space = model.space
        X = space.in_training_types(X)
        warn_outside(space.schema, model.rules, X)
        settings = Settings(
            column_weights(self, space),
            n_alternatives,
            self.refine,
            self.plausibility_weight,
            confidence,
        )
        codes = target_codes(
            self.target if target is None else target, len(X), model.classes
        )
        n_candidates = len(random_feature_weights(n_alternatives, 1))
        size = max(1, (self.batch_size or BATCH_SIZE) // n_candidates)
        parts = []
        for start in tqdm(
            range(0, len(X), size), desc="Explaining", disable=not self.verbose
        ):
            rows = np.arange(start, min(start + size, len(X)))
            wanted = None if codes is None else codes[rows]
            parts.append(explain_batch(model, take(X, rows), rows, wanted, settings))
        explanation = concatenate(parts)
        warn_about(explanation, model.generator, confidence)
        return restore_type(explanation, kept_type)


def as_explainer(estimator: Any, **params: Any) -> CounterfactualExplainer:
    """The explainer that is given, or one around a fitted estimator."""
    if isinstance(estimator, CounterfactualExplainer):
        return estimator
    return CounterfactualExplainer(estimator, **params)
