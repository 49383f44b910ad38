"""`CounterfactualExplainer`: counterfactuals of a fitted model, in raw units."""

import warnings
from dataclasses import fields

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin, clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_consistent_length, check_is_fitted
from skorch import NeuralNet
from torch import nn
from tqdm.auto import tqdm

from . import metrics
from ._inference import batched_logits, module_device
from ._random import draw_seed
from ._reference import draw_reference
from ._search import search
from ._spec import resolve_position
from ._table import take
from ._validation import (
    check_integer,
    label_codes,
    names_restored,
    parameter_error,
    unknown_name,
    validate_labels,
    validate_table,
)
from ._view import (
    View,
    chain,
    is_fitted,
    is_net,
    logit_module,
    seed_open_states,
    unwrap,
)
from .classifier import CounterfactualTrainingClassifier
from .encoding import FeatureSpace
from .exceptions import SearchWarning
from .explanation import CounterfactualExplanation
from .generators import ECCCoGenerator, make_generator
from .refine import refine
from .rules import outside_domain, rules_from, warn_outside

__all__ = ["CounterfactualExplainer"]

BATCH_SIZE = 10_000


class CounterfactualExplainer(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """What would have to change for another decision, in raw columns and units.

    Parameters
    ----------
    estimator : CounterfactualTrainingClassifier, skorch net, torch module or Pipeline
        What is explained, or a Pipeline that ends in it, or a `FrozenEstimator` around
        it. Fitted: used as it is; unfitted: cloned and fitted in `fit`. A torch module
        counts as fitted and has to return one logit per class.
    generator : str, BaseGenerator or None, default=None
        Search; None: the one used in training, with `max_iter` at least 200 and
        threshold 0.5.
    mutability, domain : default="inherit"
        As in `CounterfactualTrainingClassifier`, in the columns and units of the X
        given here. "inherit": what the classifier was trained with (a net or module:
        unconstrained).
    target : label, array-like or None, default=None
        Default target: one label or one per row; None: the runner-up class of each row.
    feature_weights : dict, array-like or None, default=None
        Cost of each raw column (name or position -> weight > 0; unlisted 1).
    refine : bool, default=True
        Make answers cheaper and sparser after the search.
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
    feature_names_in_ : ndarray of shape (n_features_in_,)
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
    >>> explainer.explain(X[:5])
    <CounterfactualExplanation: 5 rows, 5 valid>
    """

    def __init__(
        self,
        estimator,
        *,
        generator=None,
        mutability="inherit",
        domain="inherit",
        target=None,
        feature_weights=None,
        refine=True,
        batch_size=None,
        random_state=None,
        verbose=0,
    ):
        self.estimator = estimator
        self.generator = generator
        self.mutability = mutability
        self.domain = domain
        self.target = target
        self.feature_weights = feature_weights
        self.refine = refine
        self.batch_size = batch_size
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.input_tags.sparse = True
        inner = unwrap(self.estimator)[1]
        if isinstance(inner, CounterfactualTrainingClassifier):
            inner_tags = inner.__sklearn_tags__().input_tags
            tags.input_tags.allow_nan = inner_tags.allow_nan
            tags.input_tags.string = inner_tags.string
            tags.input_tags.categorical = inner_tags.categorical
        return tags

    def __sklearn_is_fitted__(self):
        return hasattr(self, "estimator_") or self._is_self_sufficient()

    def get_feature_names_out(self, input_features=None):
        """Names of the columns of the answer: those of X.

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
        return self._owner().feature_names_in_

    def _is_self_sufficient(self):
        """Whether the classifier inside brings everything, so that no fit is needed."""
        inner = unwrap(self.estimator)[1]
        return isinstance(inner, CounterfactualTrainingClassifier) and is_fitted(inner)

    # ------------------------------------------------------------------- learning

    def fit(self, X, y):
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
        self._check_parameters()
        front, inner = unwrap(self.estimator)
        if not isinstance(
            inner, (CounterfactualTrainingClassifier, NeuralNet, nn.Module)
        ):
            allowed = (
                "a CounterfactualTrainingClassifier, a skorch net, a torch module, or "
                "a Pipeline or FrozenEstimator around one"
            )
            raise parameter_error(self, "estimator", allowed, self.estimator)
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
            space = self._space(estimator, X, learn=True)
            classes = self._classes(estimator, space, X, y)
            codes = label_codes(y, classes)
            learnt = space, classes, draw_reference(space, X, codes, rng)
            self._view(estimator, *learnt)  # wrong constraints show here
        self._learnt, self.estimator_ = learnt, estimator
        return self

    def _check_parameters(self):
        check_integer(self, "verbose", low=0)
        if self.batch_size is not None:
            check_integer(self, "batch_size", low=1)
        if not isinstance(self.refine, (bool, np.bool_)):
            raise parameter_error(self, "refine", "True or False", self.refine)
        if self.generator is not None:
            make_generator(self.generator).check()

    def _owner(self):
        """The object whose column names count where the explainer is not fitted."""
        front, inner = unwrap(self.estimator)
        owner = self.estimator
        while isinstance(owner, FrozenEstimator):
            owner = owner.estimator
        return owner if front else inner

    def _validate(self, X, *, reset, owner=None):
        """Check the table against what was seen in fit, here or by the estimator."""
        front, inner = unwrap(self.estimator)
        if owner is None:
            fitted_here = reset or hasattr(self, "estimator_")
            owner = self if fitted_here else self._owner()
        plain_input = not isinstance(inner, CounterfactualTrainingClassifier)
        return validate_table(
            owner,
            X,
            reset=reset,
            allow_nan=self.__sklearn_tags__().input_tags.allow_nan or bool(front),
            allow_nd=(plain_input or inner.preprocessor is None) and not front,
        )

    def _space(self, estimator, X, *, learn):
        """Map between the table and the model input."""
        front, inner = unwrap(estimator)
        if not isinstance(inner, CounterfactualTrainingClassifier):
            return FeatureSpace(chain(front, None), X, learn=learn)
        if not front:
            return inner.feature_space_
        space = FeatureSpace(chain(front, inner), X, learn=learn)
        if not learn:
            space.observe_from(inner.feature_space_)
        return space

    def _view(self, estimator, space, classes, reference):
        """Unwrap the model and translate constraints to its input."""
        front, inner = unwrap(estimator)
        is_ours = isinstance(inner, CounterfactualTrainingClassifier)
        classifier = inner if is_ours else None
        rules, constraints = self._rules(space, classifier, bool(front))
        generator = self._generator(classifier)
        module = logit_module(inner)
        return View(module, space, rules, constraints, classes, reference, generator)

    def _current_view(self, X):
        """What was learnt in `fit`, or what the classifier brings, as a view."""
        if hasattr(self, "_learnt"):
            return self._view(self.estimator_, *self._learnt)
        inner = unwrap(self.estimator)[1]
        space = self._space(self.estimator, X, learn=False)
        return self._view(self.estimator, space, inner.classes_, inner._reference)

    def _rules(self, space, classifier, behind_front):
        """Rules in raw units and constraints on the model input."""
        inherit_words = is_inherit(self.mutability)
        inherit_domain = is_inherit(self.domain)
        given = space.rules(
            None if inherit_words else self.mutability,
            ("auto" if classifier else None) if inherit_domain else self.domain,
        )
        if classifier is None:
            rules = given
        else:
            if behind_front:
                trained = rules_from(space, classifier.constraints_)
            else:
                trained = classifier._rules
            rules = [
                (old if inherit_domain else new)._replace(
                    word=(old if inherit_words else new).word
                )
                for old, new in zip(trained, given, strict=True)
            ]
        constraints = space.constraints(rules)
        if behind_front and classifier is not None:
            constraints = constraints & classifier.constraints_.shape_only()
        return rules, constraints

    def _classes(self, estimator, space, X, y):
        """Labels of the model: its own, or those of y, else 0 ... n_classes - 1."""
        inner = unwrap(estimator)[1]
        if isinstance(inner, CounterfactualTrainingClassifier):
            return inner.classes_
        n_classes = batched_logits(logit_module(inner), space.encode(X[:1])).shape[1]
        labels = np.unique(y)
        return labels if len(labels) == n_classes else np.arange(n_classes)

    def _generator(self, classifier):
        """The generator given, or the trained one made more patient."""
        if self.generator is not None:
            return make_generator(self.generator)
        if classifier is None:
            return ECCCoGenerator(max_iter=200)
        trained = make_generator(classifier.generator_)
        return trained.set_params(max_iter=max(200, trained.max_iter), threshold=0.5)

    # ----------------------------------------------------------------- explaining

    def transform(self, X):
        """Counterfactual table: same columns, types and units as X.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n, *features)

        Returns
        -------
        counterfactual : same type as X
        """
        return self.explain(X).counterfactual

    def explain(self, X, target=None):
        """Search a counterfactual for every row.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n, *features)
        target : label or array-like of shape (n,), optional
            One label for all rows, or one per row; None: the constructor's.

        Returns
        -------
        explanation : CounterfactualExplanation

        Raises
        ------
        NotFittedError
            If neither the explainer nor the classifier in it is fitted.
        ValueError
            For an unknown target, or columns other than those seen in `fit`.

        Warns
        -----
        SearchWarning
            Once, if rows are already predicted as their target (they come back
            unchanged), and once if rows have no valid counterfactual.
        ConstraintWarning
            If factuals lie outside a domain that was given.
        """
        self._check_parameters()
        check_is_fitted(self)
        kept_type = X
        X = self._validate(X, reset=False)
        view = self._current_view(X)
        weights = self._weights(view.space)
        warn_outside(view.space, view.rules, X)
        codes = target_codes(
            self.target if target is None else target, len(X), view.classes
        )
        size = self.batch_size or BATCH_SIZE
        parts = []
        for start in tqdm(
            range(0, len(X), size), desc="Explaining", disable=not self.verbose
        ):
            rows = np.arange(start, min(start + size, len(X)))
            wanted = None if codes is None else codes[rows]
            parts.append(
                self._explain_batch(view, take(X, rows), rows, wanted, weights)
            )
        explanation = concatenate(parts)
        warn_about(explanation, view.generator)
        return restore_type(explanation, kept_type)

    def _weights(self, space):
        """Cost of each raw column."""
        weights = np.ones(len(space.feature_names))
        given = self.feature_weights
        if given is None:
            return weights
        if hasattr(given, "items"):
            for key, weight in given.items():
                where = "feature_weights"
                weights[resolve_position(key, space.feature_names, where)] = weight
        elif np.shape(given) == tuple(space.raw_shape):
            weights = np.asarray(given, dtype=float).ravel()
        else:
            allowed = f"a dict or an array of shape {tuple(space.raw_shape)}"
            raise parameter_error(self, "feature_weights", allowed, given)
        if not (np.isfinite(weights).all() and (weights > 0).all()):
            raise parameter_error(self, "feature_weights", "positive numbers", given)
        return weights

    def _explain_batch(self, view, X, rows, wanted, weights):
        """Explanation of one batch; rows that need no change are not searched."""
        encoded = view.space.encode(X)
        logits = batched_logits(view.module, encoded)
        wanted = logits.topk(2, dim=1).indices[:, 1] if wanted is None else wanted
        searched = (logits.argmax(1) != wanted).numpy()
        found, n_iter = encoded.copy(), np.zeros(len(encoded), dtype=int)
        if searched.any():
            found[searched], n_iter[searched] = self._search(
                view, take(X, searched), encoded[searched], wanted[searched], weights
            )
        return self._judge(
            view, X, rows, encoded, logits, wanted, weights, found, n_iter
        )

    def _search(self, view, X, encoded, wanted, weights):
        """Search, refine, and keep the refinement where it stays valid."""
        device = module_device(view.module)
        factual = torch.from_numpy(encoded).to(device)
        constraints = view.constraints.to(device)
        scale = None
        if self.feature_weights is not None:
            scale = torch.as_tensor(weights[view.space.owner], dtype=torch.float32)
            scale = scale.reshape(factual.shape[1:]).to(device)
        result = search(
            view.module,
            factual,
            wanted.to(device),
            view.generator,
            constraints,
            weights=scale,
        )
        rough, n_iter = (
            t.cpu().numpy() for t in (result.counterfactual, result.n_iter)
        )
        if not self.refine:
            return rough, n_iter
        threshold = view.generator.threshold
        fine = refine(view.module, result, factual, constraints, threshold, scale)
        fine = fine.cpu().numpy()
        logits = batched_logits(view.module, self._settled(view, X, fine))
        lost = (logits.argmax(1) != wanted).numpy() & result.mature.cpu().numpy()
        fine[lost] = rough[lost]
        return fine, n_iter

    @staticmethod
    def _settled(view, X, encoded):
        """Model input of the answer as it will stand in the table."""
        return view.space.encode(view.space.decode(encoded, X, view.rules))

    def _judge(self, view, X, rows, encoded, logits, wanted, weights, found, n_iter):
        """Decode, re-encode and measure: what counts is what stands in the table."""
        table = view.space.decode(found, X, view.rules)
        settled = view.space.encode(table)
        final = batched_logits(view.module, settled)
        valid = (final.argmax(1) == wanted).numpy()
        probability = final.softmax(1).gather(1, wanted[:, None]).squeeze(1).numpy()
        before, owner = view.space.coordinates(encoded)
        after, _ = view.space.coordinates(settled)
        moved = np.zeros((len(found), len(view.space.feature_names)), dtype=bool)
        np.logical_or.at(moved.T, owner, (before != after).T)
        return CounterfactualExplanation(
            factual=X,
            counterfactual=table,
            row=np.asarray(X.index) if hasattr(X, "index") else rows,
            target=view.classes[wanted.numpy()],
            predicted=view.classes[logits.argmax(1).numpy()],
            valid=valid,
            mature=probability >= view.generator.threshold,
            cost=metrics.cost(before, after, weights=weights[owner]),
            implausibility=implausibilities(view, after, wanted.numpy()),
            probability=probability,
            n_changed=moved.sum(1),
            n_iter=n_iter,
            reason=reasons(view, X, valid, probability, moved, n_iter),
        )


def target_codes(target, n, classes):
    """Class index that each row is to reach; None for the runner-up."""
    if target is None:
        return None
    labels = np.asarray(target, dtype=object if classes.dtype == object else None)
    if labels.ndim == 0:
        labels = np.full(n, labels[()], dtype=labels.dtype)
    if labels.shape != (n,):
        raise ValueError(
            f"The 'target' parameter must be one label or one per row ({n}). Got an "
            f"array of shape {labels.shape}."
        )
    known = {label: code for code, label in enumerate(classes.tolist())}
    for label in labels.tolist():
        if label not in known:
            raise unknown_name("label", label, classes.tolist(), "target")
    return torch.tensor([known[label] for label in labels.tolist()], dtype=torch.long)


def concatenate(parts):
    """One explanation of the explanations of consecutive batches."""
    if len(parts) == 1:
        return parts[0]

    def join(values):
        if values[0] is None:
            return None
        if hasattr(values[0], "iloc"):
            return pd.concat(values)
        return np.concatenate(values)

    names = [field.name for field in fields(CounterfactualExplanation)]
    return CounterfactualExplanation(
        **{name: join([getattr(part, name) for part in parts]) for name in names}
    )


def warn_about(explanation, generator):
    """Count rows that needed no change, and rows without an answer."""
    n = len(explanation)
    n_done = int((explanation.predicted == explanation.target).sum())
    if n_done:
        warnings.warn(
            f"{n_done} of {n} rows are already predicted as their target and come "
            "back unchanged.",
            SearchWarning,
            stacklevel=3,
        )
    n_failed = int((~explanation.valid).sum())
    if n_failed:
        warnings.warn(
            f"{n_failed} of {n} rows have no valid counterfactual within "
            f"max_iter={generator.max_iter}; see `reason`. Raise max_iter, or loosen "
            "mutability or domain.",
            SearchWarning,
            stacklevel=3,
        )


def is_inherit(value):
    """Whether a constraint parameter has its default."""
    return isinstance(value, str) and value == "inherit"


def implausibilities(view, coordinates, wanted):
    """Mean L1 distance of each answer from reference rows of its target class."""
    if view.reference is None:
        return None
    encoded, codes = view.reference
    reference, _ = view.space.coordinates(encoded)
    out = np.full(len(coordinates), np.nan)
    for code in np.unique(wanted):
        theirs = reference[codes == code]
        rows = wanted == code
        if len(theirs):
            out[rows] = metrics.implausibility(coordinates[rows], theirs)
    return out


def reasons(view, X, valid, probability, moved, n_iter):
    """Why a row failed, in words."""
    texts = np.full(len(valid), "", dtype=object)
    if valid.all():
        return texts
    for i in np.flatnonzero(~valid):
        what = (
            "no feature may move in a useful direction"
            if not moved[i].any()
            else f"stopped at target probability {probability[i]:.2f}"
        )
        texts[i] = f"{what} after {n_iter[i]} steps"
    for name, outside in outside_domain(view.space, view.rules, X, given_only=False):
        for i in np.flatnonzero(~valid & outside):
            texts[i] += f"; {name!r} lies outside its domain"
    return texts


def restore_type(explanation, like):
    """Sparse in, sparse out."""
    if not hasattr(like, "toarray"):
        return explanation
    for name in ("factual", "counterfactual"):
        object.__setattr__(explanation, name, type(like)(getattr(explanation, name)))
    return explanation
