"""`CounterfactualNet`: skorch's training loop with counterfactuals in it."""

from __future__ import annotations

import contextlib
from collections.abc import Set
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from skorch import NeuralNet, NeuralNetClassifier
from skorch.utils import data_from_dataset, to_tensor
from torch import Tensor, nn

from ..constraints import Constraints
from ..generators.base import BaseGenerator
from ..generators.registry import make_generator, seed_generator
from ..utils.caller import in_own_torch
from ..utils.model import (
    check_outputs,
    check_single_precision,
    evaluation_mode,
    logits_shape,
)
from ..utils.validation import (
    parameter_error,
    wrong,
)
from .checks import check_indices, check_net, sizes_wanted
from .guarded import N_JUDGED
from .loader import BatchLoader
from .loop import CounterfactualLoop
from .mlp import MLP
from .objective import Objective
from .objectives import LAMBDAS, objective_of

__all__ = ["SHARED", "CounterfactualNet", "check_logits"]

# Parameters that the classifier hands on to its net.
SHARED = ("objective", *LAMBDAS, "n_counterfactuals", "burn_in")


class CounterfactualNet(CounterfactualLoop):
    """skorch net trained on a classification loss and on counterfactuals.

    Works on arrays: model input X and class indices y. Preprocessing, labels and names
    belong to `CounterfactualTrainingClassifier`.

    Parameters
    ----------
    module : torch module class or instance, default=MLP
        Maps a batch to logits of shape (n, n_classes). Arguments called
        `n_features_in` and `n_classes` are filled in.
    *args
        As in `skorch.NeuralNetClassifier`.
    criterion : class, default=torch.nn.CrossEntropyLoss
        ``torch.nn.NLLLoss`` says that the module returns probabilities, as in skorch.
    optimizer : class, default=torch.optim.Adam
    lr : float or "auto", default="auto"
        Learning rate; "auto": that of the objective, 1e-3 for those of the package.
    max_epochs : int, default=100
    train_split : skorch split or None, default=None
        Validation data, as in `skorch.NeuralNetClassifier`.
    iterator_train : class, default=BatchLoader
        Slices whole batches; any torch DataLoader works.
    iterator_train__shuffle : bool, default=True
    verbose : int, default=0
    objective : str or Objective, default="teacher"
        "teacher" is `TeacherObjective()`, "paper" is `PaperObjective()`. Its parameters
        are reached as ``objective__epsilon``, ...
    generator : str or BaseGenerator, default="eccco"
        Search of the counterfactuals, where the objective does not find its own.
    constraints : Constraints or None, default=None
        In model-input units; None: unbounded.
    lambda_div, lambda_adv, lambda_reg : float or None, default=None
        Short for ``objective__lambda_div``, ...; None: as the objective has them. All
        zero: plain training.
    n_counterfactuals : float or int, default=0.15
        Share (float in (0, 1]) or number (int >= 1) of training rows per epoch.
    burn_in : float, default=0.0
        Share of `max_epochs` that is trained plainly first.
    random_state : int or None, default=None
        Seed of rows, targets and neighbours; None: drawn from torch's global state,
        which also governs initial weights and shuffling, as in skorch.
    **kwargs
        As in `skorch.NeuralNetClassifier`, such as ``batch_size=128``.

    Attributes
    ----------
    objective_ : Objective
    generator_ : BaseGenerator
    constraints_ : Constraints

    Notes
    -----
    Once an epoch, counterfactuals of a sample of the training rows are searched with
    the current weights and shared out over the mini-batches. The terms on them are
    computed in eval mode: energies are those of the model that is used later, and
    batch-norm statistics see observed rows only.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from skct import CounterfactualNet
    >>> X = np.random.default_rng(0).normal(size=(50, 2)).astype("float32")
    >>> _ = torch.manual_seed(0)
    >>> net = CounterfactualNet(max_epochs=3).fit(X, (X[:, 0] > 0).astype(int))
    >>> net.predict(X).shape
    (50,)
    """

    prefixes_ = [*NeuralNetClassifier.prefixes_, "generator", "objective"]

    def __init__(
        self,
        module: Any = MLP,
        *args: Any,
        criterion: Any = nn.CrossEntropyLoss,
        optimizer: Any = torch.optim.Adam,
        lr: float | str = "auto",
        max_epochs: int = 100,
        train_split: Any = None,
        iterator_train: Any = BatchLoader,
        iterator_train__shuffle: bool = True,
        verbose: int = 0,
        objective: str | Objective = "teacher",
        generator: str | BaseGenerator = "eccco",
        constraints: Constraints | None = None,
        lambda_div: float | None = None,
        lambda_adv: float | None = None,
        lambda_reg: float | None = None,
        n_counterfactuals: float = 0.15,
        burn_in: float = 0.0,
        random_state: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(
            module,
            *args,
            criterion=criterion,
            optimizer=optimizer,
            lr=lr,
            max_epochs=max_epochs,
            train_split=train_split,
            iterator_train=iterator_train,
            iterator_train__shuffle=iterator_train__shuffle,
            verbose=verbose,
            **kwargs,
        )
        self.objective = objective
        self.generator = generator
        self.constraints = constraints
        self.lambda_div = lambda_div
        self.lambda_adv = lambda_adv
        self.lambda_reg = lambda_reg
        self.n_counterfactuals = n_counterfactuals
        self.burn_in = burn_in
        self.random_state = random_state

    @in_own_torch
    def fit(self, X: Any, y: Any, **fit_params: Any) -> Self:
        """Train from new weights (or go on, with ``warm_start=True``).

        Parameters
        ----------
        X : array-like of shape (n, *features)
        y : array-like of shape (n,)
            Class indices 0 ... n_classes - 1.
        **fit_params
            Passed to the module's forward, as in skorch.

        Returns
        -------
        self : CounterfactualNet
        """
        self._infer_shapes(X, y)
        return super().fit(X, y, **fit_params)

    @in_own_torch
    def partial_fit(
        self,
        X: Any,
        y: Any = None,
        classes: ArrayLike | None = None,
        *,
        epochs: int | None = None,
        **fit_params: Any,
    ) -> Self:
        """Go on training, or start if the net is not initialised.

        Parameters
        ----------
        X, y
            As in `fit`.
        classes : array-like, optional
            As in skorch.
        epochs : int or None, default=None
            None: `max_epochs`.
        **fit_params
            As in `fit`.

        Returns
        -------
        self : CounterfactualNet
            After an interrupt (Ctrl-C) a usable net.
        """
        self._infer_shapes(X, y)
        self.check_data(X, y)
        if not self.initialized_:
            self.initialize()
        self.epochs_to_go_ = self.max_epochs if epochs is None else epochs
        self.notify("on_train_begin", X=X, y=y)
        with contextlib.suppress(KeyboardInterrupt):
            self.fit_loop(X, y, epochs=epochs, **fit_params)
        self.notify("on_train_end", X=X, y=y)
        del self.epochs_to_go_
        return self

    def _infer_shapes(self, X: Any, y: Any) -> None:
        """Learn the shape of one row and the number of classes from the data."""
        check_net(self)
        if isinstance(X, (list, tuple)):
            raise wrong("X", "an array, a tensor or a Dataset", type(X).__name__)
        if not hasattr(X, "shape"):  # a Dataset: look at its first row
            X, y = np.asarray(X[0][0])[None], data_from_dataset(X)[1]
        check_indices(y, None if self.classes is None else len(self.classes))
        self._constraints_of(X.shape[1:])
        self.input_shape_ = tuple(X.shape[1:])
        if self.classes is not None:
            self.n_classes_ = len(self.classes)
        else:
            known = getattr(self, "n_classes_", 2)
            self.n_classes_ = max(known, int(np.max(np.asarray(y))) + 1)

    def _constraints_of(self, shape: Any) -> Constraints:
        """Constraints on rows of a shape: those given, which have to fit, or none."""
        given = Constraints.unbounded(shape)
        if self.constraints is not None:
            given = self.constraints
        if not isinstance(given, Constraints) or given.lower.shape != tuple(shape):
            allowed = f"None or Constraints of shape {tuple(shape)}"
            raise parameter_error(self, "constraints", allowed, given)
        return given

    def initialize_virtual_params(self) -> None:
        """Let `set_params(generator__...)` work on an initialised net."""
        super().initialize_virtual_params()
        for prefix in ("generator", "objective"):
            self._register_virtual_param([prefix, f"{prefix}__*"])

    def get_params_for_optimizer(
        self, prefix: str, named_parameters: Any
    ) -> tuple[list, dict[str, Any]]:
        """As in skorch; ``lr="auto"`` is the learning rate of the objective."""
        args, kwargs = super().get_params_for_optimizer(prefix, named_parameters)
        if isinstance(kwargs.get("lr"), str):
            kwargs["lr"] = objective_of(self).learning_rate
        return args, kwargs

    def set_params(self, **params: Any) -> Self:
        """As in skorch; an initialised optimiser follows ``lr="auto"``, too."""
        before = self._automatic_rate()
        super().set_params(**params)
        rate = self._automatic_rate()
        # Only what has changed: a scheduler may have set another rate meanwhile. Where
        # "lr" is given, skorch has written the word into the groups by now.
        if rate is not None and (rate != before or "lr" in params):
            for group in self.optimizer_.param_groups:
                group["lr"] = rate
        return self

    def _automatic_rate(self) -> float | None:
        """Learning rate of an initialised optimiser that follows the objective."""
        follows = isinstance(self.lr, str) and hasattr(self, "optimizer_")
        return objective_of(self).learning_rate if follows else None

    def initialize_module(self) -> Self:
        """Build the module; fill in the sizes that it asks for."""
        kwargs = self.get_params_for("module")
        if not isinstance(self.module, nn.Module) and hasattr(self, "input_shape_"):
            sizes = sizes_wanted(self.module, self.input_shape_, self.n_classes_)
            kwargs = {**sizes, **kwargs}
        self.module_ = self.initialized_instance(self.module, kwargs)
        return self

    def on_train_begin(
        self, net: NeuralNet, X: Any = None, y: Any = None, **kwargs: Any
    ) -> None:
        """Prepare objective, generator, constraints and seed for the first epoch."""
        super().on_train_begin(net, X=X, y=y, **kwargs)
        check_logits(self, X)
        params = self.get_params_for("generator")
        generator = make_generator(self.generator).set_params(**params).check()
        self.constraints_ = self._constraints_of(self.input_shape_).to(self.device)
        self._keep_or_take(objective_of(self))
        if not self.objective_.trains_counterfactually:
            self.generator_ = generator
            return
        if self.random_state is not None:
            self.seed_ = self.random_state
        elif not hasattr(self, "seed_"):
            self.seed_ = int(torch.randint(2**31 - 1, ()))
        self._fit_generator(
            seed_generator(generator, self.seed_),
            *self._training_data(self.get_dataset(X, y)),
        )

    def _keep_or_take(self, objective: Objective) -> None:
        """Keep the objective of an earlier call, which may know the rows already."""
        known: Any = getattr(self, "objective_", None)
        same = type(known) is type(objective) and (
            known.get_params() == objective.get_params()
        )
        self.objective_ = known if same else objective
        self.objective_is_fitted_ = False

    # A skorch net that is adopted with its weights has never been initialised here.
    generator_classes_: Set[int] = frozenset()

    def _fit_generator(self, generator: Any, X: Tensor, y: Tensor) -> None:
        """Let a generator learn, unless that of an earlier call knows all classes."""
        known: Any = getattr(self, "generator_", None)
        same = type(known) is type(generator) and (
            known.get_params() == generator.get_params()
        )
        if same and set(y.unique().tolist()) <= self.generator_classes_:
            return
        X, y = self._with_earlier_rows(X, y)
        self.generator_ = generator.fit(X, y)
        self.generator_classes_ = set(y.unique().tolist())

    def initialize(self) -> Self:
        """Start afresh: module, optimiser, and what the generator has learnt."""
        self.generator_classes_ = set()
        return super().initialize()


def check_logits(net: CounterfactualNet, X: Any) -> None:
    """Raise a ValueError unless the module returns one finite logit per class."""
    first = X[:2] if hasattr(X, "shape") else np.asarray(X[0][0])[None]
    rows = to_tensor(np.asarray(first), device=net.device)
    try:
        with evaluation_mode(net.module_):
            given = logits_shape(net.logits, rows)
    except ValueError as error:
        check_single_precision(net.module_, cause=error)
        raise
    if given != (len(first), net.n_classes_):
        raise ValueError(
            f"The module returned logits of shape {given} for {len(first)} rows "
            f"and {net.n_classes_} classes; counterfactual training needs one "
            "logit per class, two columns for binary data."
        )
    first = X[:N_JUDGED] if hasattr(X, "shape") else first
    rows = to_tensor(np.asarray(first), device=net.device)
    with torch.no_grad(), evaluation_mode(net.module_):
        outputs = net.infer(rows)
    if torch.is_tensor(outputs):
        check_outputs(outputs, isinstance(net.criterion_, nn.NLLLoss))
    weights = all(p.isfinite().all() for p in net.module_.parameters())
    with torch.no_grad(), evaluation_mode(net.module_):
        logits = net.logits(rows)
    if not (weights and logits.isfinite().all()):
        raise ValueError(
            "The module has weights or gives logits that are not finite before "
            "the first step of training. Start from other weights (a net that is "
            "passed with warm_start may have diverged), or scale the inputs."
        )
