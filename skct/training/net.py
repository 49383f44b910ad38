"""`CounterfactualNet`: skorch's training loop with counterfactuals in it."""

import contextlib
import math
import time
import warnings
from copy import copy
from inspect import Parameter, signature

import numpy as np
import pandas as pd
import torch
from skorch import NeuralNetClassifier
from skorch.utils import data_from_dataset, to_tensor
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from .. import losses
from ..constraints.box import Constraints
from ..exceptions import DivergenceWarning
from ..generators.registry import make_generator, seed_generator
from ..solvers.forward import DenseForward, dense_layers, is_altered, is_autocast
from ..solvers.search import search
from ..utils.model import (
    LogProbability,
    check_single_precision,
    evaluation_mode,
    log_probability,
    logits_shape,
)
from ..utils.validation import (
    check_integer,
    check_n_counterfactuals,
    check_option,
    check_real,
    parameter_error,
    wrong,
)
from .loader import BatchLoader
from .mlp import MLP
from .pairs import (
    Pairs,
    draw_near_neighbours,
    draw_neighbours,
    draw_targets,
    implausible_share,
    on_the_way,
    packed,
    split,
    void_share,
)
from .written_out import margin_step, paper_step

__all__ = ["CounterfactualNet", "adopt", "trained"]


LARGEST_LOGIT = 1e30  # float32 ends at 3.4e38
LARGEST_LR = 1e38
N_JUDGED = 4096  # training rows whose logits tell whether weights are sound
OBJECTIVES = ("margin", "paper")
TERMS = ("classification", "divergence", "adversarial")
BY_PARTS = (  # methods whose work `step_at_once` does in another way
    "backward",
    "get_loss",
    "objective_terms",
    "pair_terms",
    "slope_terms",
    "slopes",
    "step_by_parts",
    "_set_training",
)
REGULARISERS = {"paper": "ridge", "margin": "slope"}

# Parameters that the classifier hands on to its net.
SHARED = (
    "objective",
    "lambda_div",
    "lambda_adv",
    "lambda_reg",
    "n_counterfactuals",
    "burn_in",
    "epsilon",
)


class LossNotFinite(Exception):
    """Training met a loss or a weight that is not finite."""


class CounterfactualNet(NeuralNetClassifier):
    """skorch net trained on the counterfactual training objective.

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
    lr : float, default=3e-3
    max_epochs : int, default=100
    train_split : skorch split or None, default=None
        Validation data, as in `skorch.NeuralNetClassifier`.
    iterator_train : class, default=BatchLoader
        Slices whole batches; any torch DataLoader works.
    iterator_train__shuffle : bool, default=True
    verbose : int, default=0
    objective : {"margin", "paper"}, default="margin"
        "margin": it contrasts relative energies up to a margin, only where
        counterfactuals are implausible, and keeps slopes in a band; see Notes. "paper":
        Eq. 2 of [1]_; its settings are ``lr=1e-3, epsilon=0.3``.
    generator : str or BaseGenerator, default="eccco"
        Search of the counterfactuals.
    constraints : Constraints or None, default=None
        In model-input units; None: unbounded.
    lambda_div, lambda_adv, lambda_reg : float, default=0.5, 0.25, 0.25
        Weights of divergence, adversarial loss, and ridge ("paper") or slope penalty
        ("margin"). All zero: plain training.
    n_counterfactuals : float or int, default=0.3
        Share (float in (0, 1]) or number (int >= 1) of training rows per epoch.
    burn_in : float, default=0.0
        Share of `max_epochs` that is trained plainly first.
    epsilon : float, default=0.1
        Max-norm radius of nascent counterfactuals, in model-input units.
    random_state : int or None, default=None
        Seed of rows, targets and neighbours; None: drawn from torch's global state,
        which also governs initial weights and shuffling, as in skorch.
    **kwargs
        As in `skorch.NeuralNetClassifier`, such as ``batch_size=128``.

    Notes
    -----
    Once an epoch, counterfactuals of a sample of the training rows are searched with
    the current weights and shared out over the mini-batches. The terms on them are
    computed in eval mode: energies are those of the model that is used later, and
    batch-norm statistics see observed rows only.

    ``objective="margin"`` departs from the paper to keep accuracy and validity where
    the paper's objective costs much of them:

    - Energies are relative, E(x, y) = mean(M(x)) - M(x)[y].
    - The divergence is softplus(1 + E(x+, y+) - E(x', y+)), which no longer pushes
      where a margin is kept.
    - Each pair counts, mature or not, by how untypical its counterfactual is for the
      target class: 0 if no farther from it than the median member, 1 if farther than
      all. It does not count while the net takes the neighbour x+ for another class.
    - The neighbour x+ is the nearest to the factual among ten.
    - Searches go on for one logit beyond the generator's threshold.
    - Instead of the ridge on energies, a penalty keeps the length of the gradient of
      the log-odds in a band, at nascent counterfactuals, on the ways from there, and
      from the neighbours, to the counterfactuals, and at these: at least 1.5 logits
      per unit of the model input, at most 6 where there are data, and down to 1.5
      where there are none. The share of that gradient (squared) along features that
      cannot change is penalised, too. Where a search ended on flat ground short of the
      boundary, 1.5 logits per unit are asked for in the direction of the neighbour.
      This differentiates the gradient, so that the module needs second derivatives.

    References
    ----------
    .. [1] Altmeyer et al., "Counterfactual Training: Teaching Models Plausible and
       Actionable Explanations", 2026.

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

    prefixes_ = [*NeuralNetClassifier.prefixes_, "generator"]

    def __init__(
        self,
        module=MLP,
        *args,
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=3e-3,
        max_epochs=100,
        train_split=None,
        iterator_train=BatchLoader,
        iterator_train__shuffle=True,
        verbose=0,
        objective="margin",
        generator="eccco",
        constraints=None,
        lambda_div=0.5,
        lambda_adv=0.25,
        lambda_reg=0.25,
        n_counterfactuals=0.3,
        burn_in=0.0,
        epsilon=0.1,
        random_state=None,
        **kwargs,
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
        self.epsilon = epsilon
        self.random_state = random_state

    # --------------------------------------------------------------- preparation

    def fit(self, X, y, **fit_params):
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
        self.look_at(X, y)
        return super().fit(X, y, **fit_params)

    def partial_fit(self, X, y=None, classes=None, **fit_params):
        """Go on training for `max_epochs`; shapes as in `fit`."""
        self.look_at(X, y)
        return super().partial_fit(X, y, classes=classes, **fit_params)

    def train_epochs(self, X, y, epochs):
        """Go on for a number of epochs; an interrupt leaves a usable net."""
        self.epochs_to_go_ = self.max_epochs if epochs is None else epochs
        self.notify("on_train_begin", X=X, y=y)
        with contextlib.suppress(KeyboardInterrupt):
            self.fit_loop(X, y, epochs=epochs)
        self.notify("on_train_end", X=X, y=y)
        del self.epochs_to_go_
        return self

    def notify(self, method_name, **cb_kwargs):
        """Tell the callbacks; at the end they may look for an epoch, in vain."""
        try:
            super().notify(method_name, **cb_kwargs)
        except IndexError:
            if self.history or method_name != "on_train_end":
                raise

    def look_at(self, X, y):
        """Learn the shape of one row and the number of classes from the data."""
        self.check_parameters()
        if isinstance(X, (list, tuple)):
            raise wrong("X", "an array, a tensor or a Dataset", type(X).__name__)
        if not hasattr(X, "shape"):  # a Dataset: look at its first row
            X, y = np.asarray(X[0][0])[None], data_from_dataset(X)[1]
        check_indices(y, None if self.classes is None else len(self.classes))
        self.constraints_of(X.shape[1:])
        self.input_shape_ = tuple(X.shape[1:])
        if self.classes is not None:
            self.n_classes_ = len(self.classes)
        else:
            known = getattr(self, "n_classes_", 2)
            self.n_classes_ = max(known, int(np.max(np.asarray(y))) + 1)

    def check_parameters(self):
        """Raise a ValueError that names the first parameter out of range."""
        check_option(self, "objective", OBJECTIVES)
        for name in ("lambda_div", "lambda_adv", "lambda_reg"):
            check_real(self, name, low=0)
        check_real(self, "burn_in", low=0, high=1)
        check_real(self, "epsilon", low=0)
        check_n_counterfactuals(self)
        make_generator(self.generator).check()
        check_real(self, "lr", low=0, high=LARGEST_LR)
        check_integer(self, "max_epochs", low=0)
        if self.batch_size != -1:  # all rows at once, as in skorch
            check_integer(self, "batch_size", low=1)
        if self.random_state is not None:
            check_integer(self, "random_state", low=0)
        for name in ("module", "criterion", "optimizer"):
            if not callable(getattr(self, name)):
                allowed = "a class, or an instance of one"
                raise parameter_error(self, name, allowed, getattr(self, name))
        check_device(self)

    def constraints_of(self, shape):
        """Constraints on rows of a shape: those given, which have to fit, or none."""
        given = Constraints.unbounded(shape)
        if self.constraints is not None:
            given = self.constraints
        if not isinstance(given, Constraints) or given.lower.shape != tuple(shape):
            allowed = f"None or Constraints of shape {tuple(shape)}"
            raise parameter_error(self, "constraints", allowed, given)
        return given

    def initialize_virtual_params(self):
        """Let `set_params(generator__...)` work on an initialised net."""
        super().initialize_virtual_params()
        self._register_virtual_param(["generator", "generator__*"])

    def initialize_module(self):
        """Build the module; fill in the sizes that it asks for."""
        kwargs = self.get_params_for("module")
        if not isinstance(self.module, nn.Module):
            kwargs = {**self.sizes_wanted(self.module), **kwargs}
        self.module_ = self.initialized_instance(self.module, kwargs)
        return self

    def sizes_wanted(self, module):
        """Arguments that `module` accepts out of n_features_in and n_classes."""
        if not hasattr(self, "input_shape_"):
            return {}
        shape = self.input_shape_
        sizes = {
            "n_features_in": shape[0] if len(shape) == 1 else shape,
            "n_classes": self.n_classes_,
        }
        return {k: v for k, v in sizes.items() if k in accepted_arguments(module)}

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Prepare generator, constraints and seed before the first epoch."""
        super().on_train_begin(net, X=X, y=y, **kwargs)
        self.check_logits(X)
        params = self.get_params_for("generator")
        generator = make_generator(self.generator).set_params(**params).check()
        self.constraints_ = self.constraints_of(self.input_shape_).to(self.device)
        if self.is_plain:
            self.generator_ = generator
            return
        if self.random_state is not None:
            self.seed_ = self.random_state
        elif not hasattr(self, "seed_"):
            self.seed_ = int(torch.randint(2**31 - 1, ()))
        self.fit_generator(
            seed_generator(generator, self.seed_),
            *self.training_data(self.get_dataset(X, y)),
        )

    def fit_generator(self, generator, X, y):
        """Let a generator learn, unless that of an earlier call knows all classes."""
        classes = set(y.unique().tolist())
        known = getattr(self, "generator_", None)
        if classes <= getattr(self, "generator_classes_", set()) and (
            type(known) is type(generator)
            and known.get_params() == generator.get_params()
        ):
            return
        earlier = getattr(self, "earlier_rows_", None)  # set by the classifier
        if earlier is not None:
            more_X, more_y = (
                torch.as_tensor(part, device=X.device) for part in earlier
            )
            X, y = torch.cat([X, more_X]), torch.cat([y, more_y])
        self.generator_ = generator.fit(X, y)
        self.generator_classes_ = set(y.unique().tolist())

    def initialize(self):
        """Start afresh: module, optimiser, and what the generator has learnt."""
        self.generator_classes_ = set()
        return super().initialize()

    def check_logits(self, X):
        """Raise a ValueError unless the module returns one logit per class."""
        first = X[:2] if hasattr(X, "shape") else np.asarray(X[0][0])[None]
        rows = to_tensor(np.asarray(first), device=self.device)
        try:
            with evaluation_mode(self.module_):
                given = logits_shape(self.logits, rows)
        except ValueError as error:
            check_single_precision(self.module_, cause=error)
            raise
        if given != (len(first), self.n_classes_):
            raise ValueError(
                f"The module returned logits of shape {given} for {len(first)} rows "
                f"and {self.n_classes_} classes; counterfactual training needs one "
                "logit per class, two columns for binary data."
            )
        first = X[:N_JUDGED] if hasattr(X, "shape") else first
        weights = all(p.isfinite().all() for p in self.module_.parameters())
        if not (weights and self.logits_of(first).isfinite().all()):
            raise ValueError(
                "The module has weights or gives logits that are not finite before "
                "the first step of training. Start from other weights (a net that is "
                "passed with warm_start may have diverged), or scale the inputs."
            )

    def logits_of(self, rows):
        """Logits of rows of an array, in eval mode, without a graph."""
        with torch.no_grad(), evaluation_mode(self.module_):
            return self.logits(to_tensor(np.asarray(rows), device=self.device))

    def training_data(self, dataset):
        """Rows and class indices of a dataset, as tensors on the device."""
        X, y = data_from_dataset(dataset)
        X = to_tensor(np.asarray(X), device=self.device)
        return X, to_tensor(np.asarray(y), device=self.device).long()

    @property
    def is_plain(self):
        """Whether all weights are zero, so that no counterfactual is needed."""
        return not any(self.lambdas.values())

    @property
    def lambdas(self):
        """Weights of the terms of the objective by name."""
        names = "lambda_div", "lambda_adv", "lambda_reg"
        return {name: getattr(self, name) for name in names}

    def logits(self, x):
        """Logits of a batch, whatever the criterion makes of them."""
        return self.as_logits(self.infer(x))

    def as_logits(self, output):
        """Logits behind the output: its logarithm where it is probabilities."""
        if isinstance(self.criterion_, nn.NLLLoss):
            return log_probability(output)
        return output

    def logit_module(self):
        """Module from model input to logits, in eval mode."""
        module = self.module_
        if isinstance(self.criterion_, nn.NLLLoss):
            module = LogProbability(module)
        return module.eval()

    # ------------------------------------------------------------------ the loop

    def fit_loop(self, X, y=None, epochs=None, **fit_params):
        """Train; on a loss that is not finite stop and keep the last good weights."""
        try:
            return super().fit_loop(X, y, epochs, **fit_params)
        except LossNotFinite:
            self.module_.load_state_dict(self.last_good_)
            self.module_.zero_grad()
            self._initialize_optimizer()
            if self.history:
                self.history.pop()
            warnings.warn(
                f"The loss was no longer finite in epoch {len(self.history) + 1}; "
                f"training stopped, and the weights after epoch {len(self.history)} "
                "are kept. Lower the learning rate (lr), raise lambda_reg, lower "
                "lambda_div, or scale the inputs.",
                DivergenceWarning,
                stacklevel=2,
            )
            return self
        finally:
            vars(self).pop("last_good_", None)

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        """Make counterfactuals, then run skorch's epoch on them and the batches."""
        if not training:
            super().run_single_epoch(iterator, training, prefix, step_fn, **fit_params)
            return
        if not len(iterator):
            raise ValueError(
                f"No batch is left of {len(iterator.dataset)} training rows: "
                f"batch_size={self.batch_size}, and iterator_train__drop_last drops "
                "what is no full batch. Lower batch_size."
            )
        self.last_good_ = {
            name: value.clone() for name, value in self.module_.state_dict().items()
        }
        if self.counterfactuals_due():
            self.run_counterfactual_epoch(iterator, prefix, **fit_params)
        else:
            super().run_single_epoch(iterator, training, prefix, step_fn, **fit_params)
        self.check_weights(iterator.dataset)

    def check_weights(self, dataset):
        """Accept an epoch only if what was finite still is, and so are some logits."""
        X, _ = data_from_dataset(dataset)
        largest = self.logits_of(X[:N_JUDGED]).abs().max()
        finite = all(  # running statistics, too; but a mask may hold infinity
            value.isfinite().all() or not self.last_good_[name].isfinite().all()
            for name, value in self.module_.state_dict().items()
        )
        if not (finite and largest < LARGEST_LOGIT):
            raise LossNotFinite

    def train_step(self, batch, **fit_params):
        """Step; says what to do where a module cannot take a single row."""
        try:
            return super().train_step(batch, **fit_params)
        except ValueError as error:
            if len(batch[1]) > 1:
                raise
            raise ValueError(
                "The module cannot be trained on a batch of one row, such as is left "
                f"over here: {error}. Set iterator_train__drop_last=True, or another "
                "batch_size."
            ) from error

    def run_counterfactual_epoch(self, iterator, prefix, **fit_params):
        """One epoch on the full objective, with its parts in the history."""
        started = time.perf_counter()
        pairs = self.make_pairs(*self.training_data(iterator.dataset))
        searched = time.perf_counter()
        chunks = iter(() if pairs is None else split(pairs, len(iterator)))
        dense, parts = self.one_stack(), []

        def step_fn(batch, **params):
            params |= {"counterfactuals": next(chunks, None), "dense": dense}
            step = self.train_step(batch, **params)
            if "parts" in step:
                parts.append(step.pop("parts"))
            return step

        super().run_single_epoch(iterator, True, prefix, step_fn, **fit_params)
        if parts:
            means = torch.stack(parts).double().mean(0).tolist()
            names = (*TERMS, REGULARISERS[self.objective])
            for name, value in zip(names, means, strict=True):
                self.history.record(name, value)
        self.history.record("search_seconds", searched - started)
        self.history.record("update_seconds", time.perf_counter() - searched)

    def counterfactuals_due(self):
        """Whether this epoch trains on counterfactuals: not plain, burn-in over."""
        return not self.is_plain and len(self.history) > round(
            self.burn_in * self.max_epochs
        )

    def train_step_single(self, batch, counterfactuals=None, dense=None, **fit_params):
        """Gradient of one batch and, where there are any, its counterfactuals."""
        if counterfactuals is None:
            step = super().train_step_single(batch, **fit_params)
            self.check_finite(step["loss"])
            return step
        if dense is not None and not fit_params and not is_autocast(self.module_):
            terms, y_pred = self.step_at_once(*batch, counterfactuals, dense)
        else:
            terms, y_pred = self.step_by_parts(*batch, counterfactuals, **fit_params)
        parts = torch.stack(terms[1:]).detach()
        return {"loss": terms.total, "y_pred": y_pred, "parts": parts}

    def step_by_parts(self, X, y, counterfactuals, **fit_params):
        """Batch in training mode, other rows in eval mode; all by autograd."""
        self._set_training(True)
        y_pred = self.infer(X, **fit_params)
        with evaluation_mode(self.module_):
            output = self.infer(packed(counterfactuals))
        classification = self.get_loss(y_pred, y, X=X, training=True)
        terms = self.objective_terms(classification, counterfactuals, output)
        self.check_finite(terms.total)
        self.backward(terms.total)
        return terms, y_pred

    def backward(self, loss):
        """Gradient of the loss; says what to do where the module has no second one."""
        try:
            loss.backward()
        except RuntimeError as error:  # torch has no class of its own for this
            signs = "derivative for", "twice", "Double back"
            known = any(sign in str(error) for sign in signs)
            if self.objective == "paper" or not known:
                raise
            raise ValueError(
                "The module has no second derivatives, which objective='margin' "
                f"needs: {error}. Set objective='paper', or lambda_reg=0."
            ) from error

    def step_at_once(self, X, y, counterfactuals, dense):
        """All rows in one pass, and the gradients written out."""
        if not self.module_.training:
            self._set_training(True)
        dense.renew()
        X, y = (to_tensor(part, device=self.device) for part in (X, y))
        if self.objective == "paper":
            terms, output = paper_step(dense, X, y, counterfactuals, **self.lambdas)
        else:
            terms, output = margin_step(
                dense,
                X,
                y,
                counterfactuals,
                self.constraints_.fixed.flatten(),
                **self.lambdas,
            )
        self.check_finite(terms.total)
        return terms, output[: len(X)]

    def get_loss(self, y_pred, y_true, *args, **kwargs):
        """Loss; 0, not 0 / 0, where all rows are of classes of weight 0."""
        loss = super().get_loss(y_pred, y_true, *args, **kwargs)
        if not isinstance(self.criterion_, (nn.CrossEntropyLoss, nn.NLLLoss)):
            return loss
        weight = self.criterion_.weight
        if weight is None or weight[to_tensor(y_true, device=self.device)].any():
            return loss
        return 0 * y_pred.sum()

    def one_stack(self):
        """Forward pass for `step_at_once` where that does what `step_by_parts` does.

        That is, where the module is dense layers and ReLU, which know no mode, and
        neither the loss nor the objective is another than it is here; else None.
        """
        plain = (
            not self.infers_its_own_way
            and not any(is_overridden(self, name) for name in BY_PARTS)
            and is_plain_cross_entropy(self.criterion_)
        )
        layers = dense_layers(self.module_) if plain else None
        return None if layers is None else DenseForward(layers)

    @staticmethod
    def check_finite(loss):
        """Stop before a loss that is not finite reaches the weights."""
        if not math.isfinite(loss.item()):
            raise LossNotFinite

    # ------------------------------------------------------- the method of the paper

    def make_pairs(self, X, y):
        """Search counterfactuals of a sample of the training rows (Sec. III-A).

        Parameters
        ----------
        X : Tensor of shape (n, *features)
        y : int64 Tensor of shape (n,)

        Returns
        -------
        pairs : Pairs or None
            None where no row has a class to move to.
        """
        rng = self.epoch_generator()
        rows = torch.randperm(len(X), generator=rng)[: self.n_rows(len(X))]
        factual, label = X[rows], y[rows]
        with torch.no_grad(), evaluation_mode(self.module_):
            predicted = self.logits(factual).argmax(1)
        if (y == y[0]).all():  # a batch of partial_fit with one class
            other = predicted != y[0]
            factual, label, predicted = factual[other], label[other], predicted[other]
            if not other.any():
                return None
        target = draw_targets(predicted, y, rng)
        result = self.search_counterfactuals(factual, target)
        neighbour, weight = self.contrast(X, y, factual, result, rng)
        neighbour = self.constraints_.protect(neighbour, result.counterfactual)
        share, void = self.ways(X, result, neighbour, rng)
        self.history.record("mature", float(result.mature.float().mean()))
        self.history.record("n_iter", float(result.n_iter.float().mean()))
        return Pairs(
            result.nascent,
            self.adversarial_target(label, predicted),
            result.counterfactual,
            neighbour,
            target,
            weight,
            share,
            void,
        )

    def contrast(self, X, y, factual, result, rng):
        """An observed row of the target class for each counterfactual, and weights."""
        target = result.target
        if self.objective == "paper":
            return X[draw_neighbours(target, y, rng)], result.mature
        neighbour = X[draw_near_neighbours(factual, target, X, y, rng)]
        weight = implausible_share(result.counterfactual, target, X, y, rng)
        self.history.record("implausible", float(weight.mean()))
        return neighbour, weight

    def ways(self, X, result, neighbour, rng):
        """Shares of the ways at which slopes are looked at, and how far from data."""
        n = len(neighbour)
        share = torch.rand(n, generator=rng).to(neighbour)
        void = share.new_zeros(4, n)  # nascent ones are near an observed row
        if self.objective == "margin" and self.lambda_reg:
            passed = on_the_way(result.nascent, result.counterfactual, neighbour, share)
            void[1:] = void_share(passed[n:], X, rng).view(3, n)
        return share, void.T

    def search_counterfactuals(self, factual, target):
        """Search one counterfactual per factual with the current weights."""
        generator = self.generator_
        if self.objective == "margin":
            threshold = losses.raised(generator.threshold)
            generator = copy(generator).set_params(threshold=threshold)
        with evaluation_mode(self.module_):
            return search(
                self.searched_model(),
                factual,
                target,
                generator,
                self.constraints_,
                epsilon=self.epsilon,
            )

    def searched_model(self):
        """The module itself, unless a subclass evaluates it in its own way."""
        return self.logits if self.infers_its_own_way else self.logit_module()

    @property
    def infers_its_own_way(self):
        """Whether a subclass overrides how the module is evaluated."""
        return any(is_overridden(self, n) for n in ("infer", "logits", "as_logits"))

    def epoch_generator(self):
        """Random numbers of this epoch: a function of seed and epoch only."""
        seeds = np.random.SeedSequence([self.seed_, len(self.history)])
        return torch.Generator().manual_seed(int(seeds.generate_state(1)[0]))

    def n_rows(self, n):
        """Number of counterfactuals per epoch."""
        share = self.n_counterfactuals
        wanted = round(share * n) if isinstance(share, float) else share
        return min(max(int(wanted), 1), n)

    def objective_terms(self, classification, pairs, output):
        """Eq. 2 on one chunk; `output` are those of its rows as `packed` puts them."""
        n = len(pairs.target)
        adversarial = self.get_loss(output[:n], pairs.label, training=True)
        ours, theirs = self.as_logits(output[n:]).split(n)
        if self.objective == "paper":
            divergence, regulariser = self.pair_terms(
                losses.energy(theirs, pairs.target),
                losses.energy(ours, pairs.target),
                pairs.weight,
            )
        else:
            recognised = losses.log_odds(theirs.detach(), pairs.target) > 0
            divergence, regulariser = self.pair_terms(
                losses.relative_energy(theirs, pairs.target),
                losses.relative_energy(ours, pairs.target),
                pairs.weight * recognised,
            )
            if self.lambda_reg:
                stuck = losses.log_odds(ours.detach(), pairs.target) < 0
                penalty = self.slope_terms(pairs, stuck & recognised)
                regulariser = regulariser + penalty
        return losses.counterfactual_loss(
            classification,
            adversarial,
            divergence,
            regulariser,
            **self.lambdas,
        )

    def slope_terms(self, pairs, short):
        """Penalties on slopes: mean over the ways, and at searches that fell short."""
        ends = pairs.counterfactual, pairs.neighbour
        passed = on_the_way(pairs.nascent, *ends, pairs.share)
        gradient = self.slopes(passed, pairs.target.repeat(4)).flatten(1)
        fixed, void = self.constraints_.fixed.flatten(), pairs.void.T.flatten()
        direction = (pairs.neighbour - pairs.counterfactual).flatten(1)
        band = losses.slope_penalty(gradient, fixed, void)
        stall = losses.stall_penalty(gradient[-len(short) :], direction, short)
        return band.mean() + stall.mean()

    def slopes(self, x, target):
        """Derivatives of the targets' log-odds at some rows, with a graph."""
        x = x.detach().requires_grad_()
        math_only = sdpa_kernel(SDPBackend.MATH)  # attention that has second ones, too
        with evaluation_mode(self.module_), math_only:
            odds = losses.log_odds(self.logits(x), target)
        (gradient,) = torch.autograd.grad(
            odds.sum(), x, create_graph=True, materialize_grads=True
        )
        return gradient

    def adversarial_target(self, y_true, y_predicted):
        """Label of the nascent counterfactuals; meant to be overridden.

        Parameters
        ----------
        y_true, y_predicted : int64 Tensor of shape (n,)
            Ground truth, and prediction at the start of the epoch, of the factuals.

        Returns
        -------
        label : int64 Tensor of shape (n,)
            The ground truth, as the second version of the paper has it.
        """
        return y_true

    def pair_terms(self, energy_neighbour, energy_counterfactual, weight):
        """Divergence and ridge of each pair, Eq. 3 and 4; meant to be overridden.

        Parameters
        ----------
        energy_neighbour, energy_counterfactual : Tensor of shape (n,)
        weight : Tensor of shape (n,)
            With ``objective="margin"`` how implausible its counterfactual is, from 0
            to 1, and 0 while the neighbour is not recognised; with "paper" whether the
            pair is mature (bool).

        Returns
        -------
        divergence, ridge : Tensor of shape (n,)
            With ``objective="margin"`` there is no ridge: 0.
        """
        pairs = energy_neighbour, energy_counterfactual, weight
        if self.objective == "paper":
            return losses.divergence(*pairs), losses.ridge(*pairs)
        return losses.margin_divergence(*pairs), torch.zeros_like(weight)


def check_indices(y, n_classes):
    """Check that labels are class indices: integers from 0, below `n_classes`."""
    y = np.asarray(y)
    known = y.dtype.kind in "iu" and y.ndim == 1 and y.size and y.min() >= 0
    if not known or (n_classes is not None and y.max() >= n_classes):
        end = "" if n_classes is None else f" to {n_classes - 1}"
        allowed = (
            f"class indices, integers from 0{end}, one per row; "
            "CounterfactualTrainingClassifier takes labels of any kind"
        )
        raise wrong("y", allowed, f"{y.dtype} of shape {y.shape}")


def check_device(net):
    """Check that there is such a device."""
    try:
        kind = None if net.device is None else torch.device(net.device).type
    except (RuntimeError, TypeError) as error:
        allowed = "a torch device such as 'cpu' or 'cuda'"
        raise parameter_error(net, "device", allowed, net.device) from error
    if kind == "cuda" and not torch.cuda.is_available():
        allowed = "'cpu', since torch finds no GPU here"
        raise parameter_error(net, "device", allowed, net.device)


def is_overridden(net, name):
    """Whether a subclass that is not of this package has a method of its own."""
    method = getattr(type(net), name)
    ours = getattr(method, "__module__", "").startswith("skct.")
    return not ours and method is not getattr(CounterfactualNet, name)


def is_plain_cross_entropy(criterion):
    """Whether a criterion is the mean cross-entropy of class indices, all alike."""
    return (
        type(criterion) is nn.CrossEntropyLoss
        and criterion.weight is None
        and criterion.reduction == "mean"
        and criterion.label_smoothing == 0
        and criterion.ignore_index < 0
        and not is_altered(criterion)
    )


def accepted_arguments(module):
    """Names that a module class takes, through ``**kwargs`` up to its bases."""
    if not isinstance(module, type):
        return set(signature(module).parameters)
    names = set()
    for base in module.__mro__:
        if "__init__" in vars(base):
            parameters = signature(base.__init__).parameters
            names |= set(parameters)
            if all(p.kind is not Parameter.VAR_KEYWORD for p in parameters.values()):
                break
    return names


def trained(net):
    """Fitted attributes that are read off the net."""
    return {
        "module_": net.logit_module(),
        "generator_": net.generator_,
        "n_iter_": len(net.history),
        "history_": history_table(net.history),
    }


def adopt(net):
    """Turn an initialised skorch net into a CounterfactualNet with the same weights."""
    defaults = CounterfactualNet()
    extra = (*SHARED, "generator", "constraints", "random_state")
    net.__class__ = CounterfactualNet
    vars(net).update({name: getattr(defaults, name) for name in extra})
    net.prefixes_ = [*net.prefixes_, "generator"]
    net._register_virtual_param(["generator", "generator__*"])
    return net


def history_table(history):
    """One row per epoch; what is recorded per batch is left out."""
    rows = [
        {k: v for k, v in epoch.items() if k != "batches" and not k.endswith("_best")}
        for epoch in history
    ]
    table = pd.DataFrame(rows)
    return table.drop(columns="train_batch_count", errors="ignore")
