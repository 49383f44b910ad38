"""`CounterfactualTrainingClassifier`: scikit-learn manners around a skorch net."""

import warnings
from copy import deepcopy

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils import compute_class_weight
from sklearn.utils.validation import check_consistent_length, check_is_fitted
from skorch import NeuralNetClassifier

from .encoding.reference import draw_reference, top_up
from .encoding.rules import warn_outside
from .encoding.space import FeatureSpace
from .exceptions import SearchWarning
from .explain.mixin import RecourseMixin
from .generators.registry import GENERATORS, make_generator
from .persistence import PersistenceMixin
from .preprocessing import TableEncoder
from .training.checks import check_net
from .training.history import trained
from .training.net import SHARED, CounterfactualNet, adopt
from .training.objectives import LAMBDAS, OBJECTIVES, make_objective
from .training.progress import FitProgress
from .utils.dask import dask_token
from .utils.model import sound_logits
from .utils.random import draw_seed, seeded
from .utils.validation import (
    check_integer,
    check_n_counterfactuals,
    check_option,
    check_real,
    is_number,
    label_codes,
    label_set,
    names_restored,
    parameter_error,
    unknown_name,
    validate_labels,
    validate_table,
)

__all__ = ["CounterfactualTrainingClassifier"]


PARTS = ("net", "generator", "objective")  # parameters with parameters
FITTED = (
    "classes_",
    "seed_",
    "preprocessor_",
    "feature_space_",
    "constraints_",
    "net_",
    "rules_",
    "reference_",
)


class CounterfactualTrainingClassifier(
    RecourseMixin, PersistenceMixin, ClassifierMixin, BaseEstimator
):
    """Neural classifier trained to give plausible and actionable counterfactuals.

    Every epoch searches counterfactuals for a sample of the training rows on the
    current network, and trains on four terms at once: classification loss, contrastive
    divergence between counterfactuals and observed rows of their target class,
    adversarial loss on nascent counterfactuals, and a regulariser, after [1]_.

    Parameters
    ----------
    net : CounterfactualNet, skorch.NeuralNetClassifier or None, default=None
        Network and optimisation; None: ``CounterfactualNet()``. Its parameters are
        reached as ``net__lr``, ``net__max_epochs``,
        ``net__module__hidden_layer_sizes``, ...
    preprocessor : "auto", None or transformer, default="auto"
        "auto": numeric columns standardised, string / category / bool columns one-hot
        encoded, missing values imputed. None: X is the model input, of any shape. Or
        any transformer, ColumnTransformer or Pipeline that works column by column.
    objective : str or Objective, default="margin"
        "margin", `MarginObjective`: it contrasts only where counterfactuals are
        implausible, and keeps slopes in a band, which keeps accuracy and validity.
        "paper", `PaperObjective`: Eq. 2 of [1]_. Or an instance, of your own class too.
        Its settings are reached as ``objective__epsilon``, ...; the learning rate
        follows it unless `net` has one.
    generator : str or BaseGenerator, default="eccco"
        Search of the counterfactuals: "eccco", "generic", "revise", "gravitational" or
        an instance.
    mutability : dict, array-like or None, default=None
        Raw column (name or position) -> "both", "none", "increase" or "decrease";
        unlisted columns are "both".
    domain : "auto", dict or None, default="auto"
        "auto": observed range and categories. dict: column -> (low, high) in raw
        units, either end None, or allowed categories; unlisted columns stay "auto".
        None: unbounded.
    lambda_div, lambda_adv, lambda_reg : float or None, default=None
        Weights of divergence, adversarial loss and regulariser, short for
        ``objective__lambda_div``, ...; None: as the objective has them. All zero: the
        plain network.
    n_counterfactuals : float or int, default=0.3
        Share (float in (0, 1]) or number (int >= 1) of training rows per epoch.
    burn_in : float, default=0.0
        Share of the epochs trained plainly first, in [0, 1].
    class_weight : dict, "balanced" or None, default=None
        Weight of each label in the classification and adversarial losses.
    n_reference : int, default=1000
        Training rows per class kept to judge plausibility (0: none, for privacy).
    warm_start : bool, default=False
        Go on from the weights of the last `fit`, or of an initialised `net`.
    random_state : int, RandomState or None, default=None
        Seed of everything random; the global random state is never touched.
    verbose : int, default=0
        0 silent, 1 a progress bar, 2 the bar and skorch's table.

    Attributes
    ----------
    net_ : CounterfactualNet
        The fitted net.
    module_ : torch.nn.Module
        Model input -> logits of shape (n, n_classes), in eval mode.
    preprocessor_ : transformer or None
    feature_space_ : FeatureSpace
        ``encode(X)`` -> float32 array, ``decode(array, like=X)`` -> X's own type.
    rules_ : list of Rule
        What may happen to each raw column, in raw units.
    constraints_ : Constraints
        The same in model-input units.
    reference_ : pair of ndarray or None
        Encoded training rows that plausibility is judged by, and their class indices.
    generator_ : BaseGenerator
    classes_ : ndarray of shape (n_classes,)
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Only if X had string column names.
    n_iter_ : int
        Epochs trained.
    seed_ : int
        Seed that `fit` drew from `random_state`.
    history_ : DataFrame
        One row per epoch: loss terms, share of mature counterfactuals, mean search
        steps, seconds.

    Notes
    -----
    Departures from the paper's code, whatever the objective: immature pairs carry
    weight 0 in the paper's terms; the adversarial label is the ground truth;
    the domain is the observed range; categories and integers are snapped in training,
    too. There is no `sample_weight`: rows are drawn at random, so that a weight could
    not mean repetition.

    References
    ----------
    .. [1] Altmeyer et al., "Counterfactual Training: Teaching Models Plausible and
       Actionable Explanations", 2026.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skct import CounterfactualTrainingClassifier
    >>> X, y = load_iris(return_X_y=True, as_frame=True)
    >>> clf = CounterfactualTrainingClassifier(
    ...     mutability={"sepal length (cm)": "none"}, random_state=0
    ... )
    >>> clf.set_params(net__max_epochs=30, net__lr=0.01).fit(X, y).score(X, y) > 0.9
    True
    >>> answer = clf.explain(X[:3], target=1)
    >>> bool((answer.counterfactual.iloc[:, 0] == X.iloc[:3, 0]).all())
    True
    """

    def __init__(
        self,
        net=None,
        *,
        preprocessor="auto",
        objective="margin",
        generator="eccco",
        mutability=None,
        domain="auto",
        lambda_div=None,
        lambda_adv=None,
        lambda_reg=None,
        n_counterfactuals=0.3,
        burn_in=0.0,
        class_weight=None,
        n_reference=1000,
        warm_start=False,
        random_state=None,
        verbose=0,
    ):
        self.net = net
        self.preprocessor = preprocessor
        self.objective = objective
        self.generator = generator
        self.mutability = mutability
        self.domain = domain
        self.lambda_div = lambda_div
        self.lambda_adv = lambda_adv
        self.lambda_reg = lambda_reg
        self.n_counterfactuals = n_counterfactuals
        self.burn_in = burn_in
        self.class_weight = class_weight
        self.n_reference = n_reference
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    # ---------------------------------------------------------------- parameters

    def get_params(self, deep=True):
        """Parameters by name, nested ones of net, generator and objective included.

        Parameters
        ----------
        deep : bool, default=True

        Returns
        -------
        params : dict
        """
        params = super().get_params(deep=deep)
        if deep:
            for name in PARTS:
                part = self._part(name)
                if part is not None and part is not getattr(self, name):
                    nested = part.get_params(deep=True)
                    params.update({f"{name}__{k}": v for k, v in nested.items()})
        return params

    def set_params(self, **params):
        """Set parameters; ``net__*``, ``objective__*``, ... of the defaults as well.

        Parameters
        ----------
        **params
            Names and values.

        Returns
        -------
        self : CounterfactualTrainingClassifier
        """
        for name in PARTS:
            if name in params:
                setattr(self, name, params.pop(name))
            if any(key.startswith(f"{name}__") for key in params):
                part = self._part(name)
                if part is not None:
                    setattr(self, name, part)
        return super().set_params(**params)

    def _part(self, name):
        """The object behind a parameter; built if it is None or a name."""
        value = getattr(self, name)
        if name == "net" and value is None:
            return CounterfactualNet()
        known = {"generator": GENERATORS, "objective": OBJECTIVES}.get(name, {})
        if isinstance(value, str) and value in known:
            return known[value]()
        return value if hasattr(value, "get_params") else None

    def _check_parameters(self):
        make_objective(self.objective)
        for name in LAMBDAS:
            if getattr(self, name) is not None:
                check_real(self, name, low=0)
        check_real(self, "burn_in", low=0, high=1)
        check_n_counterfactuals(self)
        check_integer(self, "n_reference", low=0)
        check_integer(self, "verbose", low=0)
        if not isinstance(self.warm_start, (bool, np.bool_)):
            raise parameter_error(self, "warm_start", "True or False", self.warm_start)
        make_generator(self.generator).check()
        if isinstance(self.net, CounterfactualNet):
            check_net(self.net)
        if not (self.net is None or isinstance(self.net, NeuralNetClassifier)):
            allowed = "None, a CounterfactualNet or a skorch NeuralNetClassifier"
            raise parameter_error(self, "net", allowed, self.net)
        if not (
            self.preprocessor is None
            or self.preprocessor == "auto"
            or hasattr(self.preprocessor, "fit_transform")
            and not isinstance(self.preprocessor, type)
        ):
            allowed = "'auto', None or a transformer"
            raise parameter_error(self, "preprocessor", allowed, self.preprocessor)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = self.preprocessor is not None
        tags.input_tags.string = self.preprocessor is not None
        tags.input_tags.categorical = self.preprocessor is not None
        tags.input_tags.three_d_array = self.preprocessor is None
        return tags

    # ------------------------------------------------------------------- training

    def fit(self, X, y):
        """Train the network.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n, *features)
            Raw table; other shapes than (n, n_features) with ``preprocessor=None``.
        y : array-like of shape (n,)
            Labels of any kind, at least two classes.

        Returns
        -------
        self : CounterfactualTrainingClassifier

        Raises
        ------
        ValueError
            For a parameter out of range, an unknown column, a single class, values
            that are not finite, or a module without one logit per class.

        Warns
        -----
        ImputationWarning
            If values were missing.
        DivergenceWarning
            If the loss was no longer finite; the last good weights are kept.
        ConstraintWarning
            If rows lie outside a domain that was given.
        SearchWarning
            If hardly any counterfactual matured: there was little to learn, or answers
            will be rare.
        """
        self._check_parameters()
        going_on = self.warm_start and hasattr(self, "net_")
        with names_restored(self):
            X, y = self._validate(X, reset=not going_on), validate_labels(self, y)
            check_consistent_length(X, y)
            state = self._go_on(X, y) if going_on else self._start(X, y)
            warn_outside(state["feature_space_"], state["rules_"], X)
            self._train(state, X, y)
        if self.net_.objective_.needs_mature:
            warn_immature(self.history_, self.generator_)
        return self

    def partial_fit(self, X, y, classes=None):
        """Train for one epoch; the first call fixes preprocessing, domain and classes.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n, *features)
        y : array-like of shape (n,)
        classes : array-like of shape (n_classes,), optional
            All labels that will ever come; needed in the first call unless `y` has
            them all.

        Returns
        -------
        self : CounterfactualTrainingClassifier
        """
        first = not hasattr(self, "net_")
        self._check_parameters()
        if not (first or classes is None):
            given = label_set(classes)
            if not np.array_equal(given, self.classes_):
                raise ValueError(
                    f"The 'classes' parameter is {given.tolist()}, but the first call "
                    f"of partial_fit fixed {self.classes_.tolist()}."
                )
        with names_restored(self):
            X, y = self._validate(X, reset=first), validate_labels(self, y)
            check_consistent_length(X, y)
            state = self._start(X, y, classes) if first else self._state(X, y)
            return self._train(state, X, y, epochs=1)

    def _state(self, X, y):
        """What is fixed already, with reference rows for classes that lack some."""
        state = {name: vars(self)[name] for name in FITTED}
        codes = label_codes(y, self.classes_)
        state["reference_"] = top_up(
            self.reference_,
            self._reference_rows(self.feature_space_, X, codes, self.seed_),
            self.n_reference,
        )
        return state

    def _go_on(self, X, y):
        """State of a warm start: constraints and net follow the parameters."""
        state = self._state(X, y)
        space, net = state["feature_space_"], state["net_"]
        state["rules_"] = space.rules(self.mutability, self.domain)
        state["constraints_"] = space.constraints(state["rules_"])
        given = CounterfactualNet() if self.net is None else self.net
        names = ("lr", "max_epochs", "batch_size")
        net.set_params(**{name: getattr(given, name) for name in names})
        weight = self._criterion_weight(state["classes_"], y)
        known = getattr(net.criterion_, "weight", None)
        both = weight is not None and known is not None
        if not (torch.equal(weight, known) if both else weight is known):
            net.set_params(criterion__weight=weight)
        return state

    def _start(self, X, y, classes=None):
        """Everything that is fixed before the first epoch, as a dict of attributes.

        Nothing is set on the estimator yet, so that a failing fit leaves it as it was.
        """
        classes = np.unique(y) if classes is None else label_set(classes)
        codes = label_codes(y, classes)
        if len(classes) < 2:
            raise ValueError(
                f"{type(self).__name__} needs samples of at least 2 classes in the "
                f"data, but y holds only 1 class: {classes.tolist()}. Without another "
                "class there is no counterfactual."
            )
        seed = draw_seed(self.random_state)
        preprocessor = self._fit_preprocessor(X, y)
        space = FeatureSpace(preprocessor, X)
        rules = space.rules(self.mutability, self.domain)
        return {
            "classes_": classes,
            "seed_": seed,
            "preprocessor_": preprocessor,
            "feature_space_": space,
            "constraints_": space.constraints(rules),
            "net_": self._make_net(classes, y),
            "rules_": rules,
            "reference_": self._reference_rows(space, X, codes, seed),
        }

    def _train(self, state, X, y, epochs=None):
        """Run epochs with all randomness governed by the seed, then keep the result."""
        net, seed = state["net_"], state["seed_"]
        encoded = state["feature_space_"].encode(X)
        codes = label_codes(y, state["classes_"])
        net.set_params(
            **{name: getattr(self, name) for name in SHARED},
            generator=make_generator(self.generator),
            constraints=state["constraints_"],
            random_state=seed,
        )
        with seeded(seed + len(net.history or ())):
            if net.initialized_:
                # A generator that meets a new class learns anew, from these as well.
                net.earlier_rows_ = state["reference_"]
            net.partial_fit(encoded, codes, epochs=epochs)
        vars(net).pop("earlier_rows_", None)
        vars(self).update(state, **trained(net))
        return self

    def _make_net(self, classes, y):
        """Clone the given net (or copy an initialised one) as a CounterfactualNet."""
        net = CounterfactualNet() if self.net is None else self.net
        if self.warm_start and net.initialized_:
            net = deepcopy(net)
            if not isinstance(net, CounterfactualNet):
                net = adopt(net)
        elif isinstance(net, CounterfactualNet):
            net = clone(net)
        else:
            params = clone(net).get_params(deep=False)
            net = CounterfactualNet(**{"iterator_train__shuffle": False, **params})
        net.set_params(classes=list(range(len(classes))))
        weight = self._criterion_weight(classes, y)
        if weight is not None:
            net.set_params(criterion__weight=weight)
        if self.verbose and net.callbacks != "disable":
            net.set_params(callbacks=[*(net.callbacks or []), FitProgress()])
        if self.verbose > 1:
            net.set_params(verbose=1)
        return net

    def _criterion_weight(self, classes, y):
        """Weights of the classes in the criterion, or None."""
        if self.class_weight is None:
            return None
        if isinstance(self.class_weight, str):
            check_option(self, "class_weight", ("balanced",))
        elif not hasattr(self.class_weight, "items"):
            allowed = "a dict, 'balanced' or None"
            raise parameter_error(self, "class_weight", allowed, self.class_weight)
        else:
            self._check_weights(classes)
        if isinstance(self.class_weight, str) and len(np.unique(y)) < len(classes):
            raise ValueError(
                "class_weight='balanced' needs rows of every class; in partial_fit "
                "give a dict of weights instead."
            )
        if isinstance(self.class_weight, str):
            weight = compute_class_weight("balanced", classes=classes, y=y)
        else:
            weight = [self.class_weight.get(label, 1.0) for label in classes.tolist()]
        return torch.as_tensor(weight, dtype=torch.float32)

    def _check_weights(self, classes):
        """Check a dict `class_weight`.

        As in scikit-learn it may name labels that y lacks, such as a fold without a
        rare class, if it has a weight for every label of y: then they are no slips.
        """
        given, known = self.class_weight, classes.tolist()
        if not set(known) <= set(given):
            for label in given:
                if label not in known:
                    raise unknown_name("label", label, known, "class_weight")
        values = given.values()
        if not (
            all(is_number(w) and 0 <= w < np.inf for w in values)
            and any(given.get(label, 1.0) for label in known)
        ):
            allowed = "a dict of finite weights >= 0, not all of them 0"
            raise parameter_error(self, "class_weight", allowed, given)

    def _fit_preprocessor(self, X, y):
        if self.preprocessor is None:
            return None
        if isinstance(self.preprocessor, str):
            return TableEncoder().fit(X)
        try:
            return clone(self.preprocessor).fit(X, y)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"The preprocessor {type(self.preprocessor).__name__} could not be "
                f"fitted to X: {error}. Use preprocessor='auto', or a "
                "ColumnTransformer that gives each column what suits it."
            ) from error

    def _reference_rows(self, space, X, codes, seed):
        """Rows to judge plausibility by, drawn without touching any other stream."""
        rng = np.random.default_rng(seed)
        return draw_reference(space, X, codes, rng, self.n_reference)

    # ----------------------------------------------------------------- validation

    def _validate(self, X, *, reset):
        return validate_table(
            self,
            X,
            reset=reset,
            allow_nan=self.preprocessor is not None,
            allow_nd=self.preprocessor is None,
        )

    # ----------------------------------------------------------------- prediction

    def decision_function(self, X):
        """Logits.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n, *features)

        Returns
        -------
        scores : ndarray of shape (n,) or (n, n_classes), float32
            For two classes the logit of the second minus that of the first.
        """
        logits = self._logits(X).numpy()
        return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits

    def predict_proba(self, X):
        """Class probabilities.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n, *features)

        Returns
        -------
        probability : ndarray of shape (n, n_classes), float32
            In the order of `classes_`.
        """
        return self._logits(X).softmax(1).numpy()

    def predict(self, X):
        """Most probable label.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n, *features)

        Returns
        -------
        y : ndarray of shape (n,)
        """
        codes = self._logits(X).argmax(1).numpy()
        return self.classes_[codes]

    def _logits(self, X):
        check_is_fitted(self)
        X = self._validate(X, reset=False)
        return sound_logits(self.module_, self.feature_space_.encode(X))

    __dask_tokenize__ = dask_token

    def __sklearn_is_fitted__(self):
        return hasattr(self, "net_")


def warn_immature(history, generator, least=0.05):
    """Warn if hardly any counterfactual of the last epoch reached the threshold."""
    share = history["mature"].iloc[-1] if "mature" in history and len(history) else 1.0
    if share < least:
        warnings.warn(
            f"{share:.0%} of the counterfactuals of the last epoch matured: they "
            f"reached threshold={generator.threshold} within "
            f"max_iter={generator.max_iter} steps. There is little to learn from so "
            "few; lower the generator's threshold, raise its max_iter or "
            "step_size, or train for more epochs.",
            SearchWarning,
            stacklevel=3,
        )
