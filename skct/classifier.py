"""`CounterfactualTrainingClassifier`: scikit-learn manners around a skorch net."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_consistent_length, check_is_fitted
from skorch import NeuralNetClassifier
from torch import Tensor

from .encoding.reference import draw_reference, observed_rows, top_up
from .encoding.rules import warn_outside
from .encoding.space import FeatureSpace
from .explain.mixin import RecourseMixin
from .generators.base import BaseGenerator
from .generators.registry import GENERATORS, make_generator
from .persistence import PersistenceMixin
from .preprocessing import fit_preprocessor
from .training.early_stopping import best_epoch, set_validation, wants_early_stopping
from .training.history import trained, warn_immature
from .training.make_net import make_net
from .training.net import SHARED, CounterfactualNet
from .training.objective import Objective
from .training.objectives import OBJECTIVES
from .training.parameters import check_parameters
from .utils.caller import in_own_torch, warnings_last
from .utils.class_weight import criterion_weight, same_weight
from .utils.dask import dask_token
from .utils.model import sound_logits
from .utils.params import NestedParams
from .utils.random import Seed, draw_seed, seeded
from .utils.validation import (
    label_codes,
    label_set,
    names_restored,
    validate_labels,
    validate_table,
)

__all__ = ["CounterfactualTrainingClassifier"]


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
    NestedParams, RecourseMixin, PersistenceMixin, ClassifierMixin, BaseEstimator
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
        "auto": numeric columns scaled by their interquartile range and bent into
        (-3, 3), string / category / bool columns one-hot encoded, missing values
        imputed (see `skct.preprocessing.TableEncoder`). None: X is the model input, of
        any shape. Or any transformer, ColumnTransformer or Pipeline that works column
        by column.
    objective : str or Objective, default="teacher"
        "teacher", `TeacherObjective`: counterfactuals with the labels of a second
        opinion, which keeps told probabilities honest where advice sends people.
        "paper", `PaperObjective`: Eq. 2 of [1]_. Or an instance, of your own class
        too. Its settings are ``objective__epsilon``, ...; the learning rate follows it
        unless `net` has one.
    generator : str or BaseGenerator, default="eccco"
        Search, "eccco", "generic", "revise", "gravitational" or an instance: in
        `explain`, and in training unless the objective finds its own ("teacher" does).
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
    n_counterfactuals : float or int, default=0.15
        Share (float in (0, 1]) or number (int >= 1) of training rows per epoch.
    burn_in : float, default=0.0
        Share of the epochs trained plainly first, in [0, 1].
    class_weight : dict, "balanced" or None, default=None
        Weight of each label in the classification and adversarial losses.
    n_reference : int, default=1000
        Training rows per class kept to judge plausibility (0: none, for privacy).
    early_stopping : bool or "auto", default="auto"
        Hold rows out, stop once their loss no longer falls, and keep the best weights.
        "auto": if there are at least 500 rows, and 20 of each class. False: train for
        ``net__max_epochs``. A `train_split` of the net says which rows are held out.
    validation_fraction : float, default=0.1
        Share of the rows that is held out, of each class alike.
    n_iter_no_change : int, default=10
        Epochs without a lower loss before training stops.
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
    best_epoch_ : int
        Epoch whose weights are kept; `n_iter_` without early stopping.
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
    >>> explanation = clf.explain(X[:3], target=1)
    >>> bool((explanation.counterfactual.iloc[:, 0] == X.iloc[:3, 0]).all())
    True
    """

    def __init__(
        self,
        net: NeuralNetClassifier | None = None,
        *,
        preprocessor: Any = "auto",
        objective: str | Objective = "teacher",
        generator: str | BaseGenerator = "eccco",
        mutability: Mapping | ArrayLike | None = None,
        domain: str | Mapping | None = "auto",
        lambda_div: float | None = None,
        lambda_adv: float | None = None,
        lambda_reg: float | None = None,
        n_counterfactuals: float = 0.15,
        burn_in: float = 0.0,
        class_weight: Mapping | str | None = None,
        n_reference: int = 1000,
        early_stopping: bool | str = "auto",
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        warm_start: bool = False,
        random_state: Seed = None,
        verbose: int = 0,
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
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    # ---------------------------------------------------------------- parameters

    parts = ("net", "generator", "objective")

    def _build_part(self, name: str) -> Any:
        """The object behind a parameter; built if it is None or a name."""
        value = getattr(self, name)
        if name == "net" and value is None:
            return CounterfactualNet()
        known = {"generator": GENERATORS, "objective": OBJECTIVES}.get(name, {})
        if isinstance(value, str) and value in known:
            return known[value]()
        return value if hasattr(value, "get_params") else None

    def _check_parameters(self) -> None:
        check_parameters(self)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = self.preprocessor is not None
        tags.input_tags.string = self.preprocessor is not None
        tags.input_tags.categorical = self.preprocessor is not None
        tags.input_tags.three_d_array = self.preprocessor is None
        return tags

    # ------------------------------------------------------------------- training

    @in_own_torch
    def fit(self, X: Any, y: ArrayLike) -> Self:
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
        ColumnWarning
            If a text column looks like numbers, dates or names.
        DivergenceWarning
            If the loss was no longer finite; the last good weights are kept.
        ConstraintWarning
            If rows lie outside a domain that was given.
        SearchWarning
            If hardly any counterfactual matured: there was little to learn, or
            counterfactuals will be rare.
        """
        self._check_parameters()
        going_on = self.warm_start and hasattr(self, "net_")
        with warnings_last(), names_restored(self):
            X, y = self._validate(X, reset=not going_on), validate_labels(self, y)
            check_consistent_length(X, y)
            state = warm_state(self, X, y) if going_on else self._start(X, y)
            warn_outside(state["feature_space_"].schema, state["rules_"], X)
            self._train(state, X, y)
        if self.net_.objective_.needs_mature:
            warn_immature(self.history_, self.generator_)
        return self

    @in_own_torch
    def partial_fit(
        self, X: Any, y: ArrayLike, classes: ArrayLike | None = None
    ) -> Self:
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
            state = self._start(X, y, classes) if first else kept_state(self, X, y)
            return self._train(state, X, y, epochs=1)

    def _start(self, X: Any, y: np.ndarray, classes: ArrayLike | None = None) -> dict:
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
        net = make_net(self.net, warm_start=self.warm_start, verbose=self.verbose)
        net.set_params(classes=list(range(len(classes))))
        weight = criterion_weight(self, classes, y)
        if weight is not None:
            net.set_params(criterion__weight=weight)
        preprocessor = fit_preprocessor(self.preprocessor, X, y)
        space = FeatureSpace(preprocessor, X)
        rules = space.rules(self.mutability, self.domain)
        return {
            "classes_": classes,
            "seed_": seed,
            "preprocessor_": preprocessor,
            "feature_space_": space,
            "constraints_": space.constraints(rules),
            "net_": net,
            "rules_": rules,
            "reference_": draw_reference(space, X, codes, seed, self.n_reference),
        }

    def _train(
        self, state: dict[str, Any], X: Any, y: np.ndarray, epochs: int | None = None
    ) -> Self:
        """Run epochs with all randomness governed by the seed, then keep the result."""
        net, seed = state["net_"], state["seed_"]
        encoded = state["feature_space_"].encode(X)
        codes = label_codes(y, state["classes_"])
        set_validation(
            self,
            net,
            seed,
            stop=epochs is None and wants_early_stopping(self, codes),
            encode=state["feature_space_"].encode,
            classes=state["classes_"],
        )
        net.set_params(
            **{name: getattr(self, name) for name in SHARED},
            generator=make_generator(self.generator),
            constraints=state["constraints_"],
            random_state=seed,
        )
        with seeded(seed + len(net.history or ())):
            if net.initialized_:
                # A generator that meets a new class learns anew, from these as well.
                net.earlier_rows_ = observed_rows(state["reference_"])
            net.partial_fit(encoded, codes, epochs=epochs)
        vars(net).pop("earlier_rows_", None)
        self.__dict__.update(state, **trained(net), best_epoch_=best_epoch(net))
        return self

    # ----------------------------------------------------------------- validation

    def _validate(self, X: Any, *, reset: bool) -> Any:
        raw = self.preprocessor is not None
        X = validate_table(self, X, reset=reset, allow_nan=raw, allow_nd=not raw)
        return X if reset else self.feature_space_.in_training_types(X)

    # ----------------------------------------------------------------- prediction

    def decision_function(self, X: Any) -> np.ndarray:
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

    def predict_proba(self, X: Any) -> np.ndarray:
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

    def predict(self, X: Any) -> np.ndarray:
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

    def _logits(self, X: Any) -> Tensor:
        check_is_fitted(self)
        X = self._validate(X, reset=False)
        return sound_logits(self.module_, self.feature_space_.encode(X))

    __dask_tokenize__ = dask_token

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "net_")


def kept_state(
    classifier: CounterfactualTrainingClassifier, X: Any, y: np.ndarray
) -> dict[str, Any]:
    """What is fixed already, with reference rows for classes that lack some."""
    state = {name: vars(classifier)[name] for name in FITTED}
    codes = label_codes(y, classifier.classes_)
    state["reference_"] = top_up(
        classifier.reference_,
        draw_reference(
            classifier.feature_space_,
            X,
            codes,
            classifier.seed_,
            classifier.n_reference,
        ),
        classifier.n_reference,
    )
    return state


def warm_state(
    classifier: CounterfactualTrainingClassifier, X: Any, y: np.ndarray
) -> dict[str, Any]:
    """State of a warm start: constraints and net follow the parameters."""
    state = kept_state(classifier, X, y)
    space, net = state["feature_space_"], state["net_"]
    state["rules_"] = space.rules(classifier.mutability, classifier.domain)
    state["constraints_"] = space.constraints(state["rules_"])
    given = CounterfactualNet() if classifier.net is None else classifier.net
    names = ("lr", "max_epochs", "batch_size")
    net.set_params(**{name: getattr(given, name) for name in names})
    weight = criterion_weight(classifier, state["classes_"], y)
    if not same_weight(weight, getattr(net.criterion_, "weight", None)):
        net.set_params(criterion__weight=weight)
    return state
