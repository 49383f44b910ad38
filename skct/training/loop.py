"""`CounterfactualLoop`: one epoch of training on counterfactuals."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from skorch.utils import data_from_dataset, to_tensor
from torch import Tensor, nn

from ..generators.base import BaseGenerator
from ..losses import LossTerms, counterfactual_loss
from ..solvers.forward import dense_layers, is_autocast
from ..solvers.search import SearchResult, search
from ..utils.model import LogProbability, evaluation_mode, log_probability
from .guarded import GuardedNet
from .objective import Outputs, Searched, SearchTask
from .pairs import draw_targets, packed, split
from .passes import DensePass, ModulePass

__all__ = ["CounterfactualLoop"]

TERMS = ("classification", "divergence", "adversarial")


class CounterfactualLoop(GuardedNet):
    """Searches counterfactuals once an epoch and trains on them, batch by batch.

    Needs `objective_`, `generator_`, `constraints_` and `seed_` before the first epoch.
    """

    objective_is_fitted_ = False

    # --------------------------------------------------------------------- logits

    def logits(self, x: Tensor) -> Tensor:
        """Logits of a batch; to be overridden by nets that evaluate in another way.

        Parameters
        ----------
        x : Tensor of shape (n, *features)

        Returns
        -------
        logits : Tensor of shape (n, n_classes)
            The logarithm of the output where the criterion is ``torch.nn.NLLLoss``.
        """
        return self._as_logits(self.infer(x))

    def _as_logits(self, output: Tensor) -> Tensor:
        """Logits behind the output: its logarithm where it is probabilities."""
        if isinstance(self.criterion_, nn.NLLLoss):
            return log_probability(output)
        return output

    def _logits_of(self, rows: Any) -> Tensor:
        """Logits of rows of an array, in eval mode, without a graph."""
        with torch.no_grad(), evaluation_mode(self.module_):
            return self.logits(to_tensor(np.asarray(rows), device=self.device))

    def logit_module(self) -> nn.Module:
        """Module from model input to logits, in eval mode: what is explained.

        Returns
        -------
        module : torch.nn.Module
            `module_`, or its logarithm where the criterion is ``torch.nn.NLLLoss``.
        """
        module = self.module_
        if isinstance(self.criterion_, nn.NLLLoss):
            module = LogProbability(module)
        return module.eval()

    @property
    def _evaluates_in_its_own_way(self) -> bool:
        """Whether a subclass overrides how the module is evaluated."""
        return any(
            getattr(type(self), name) is not getattr(CounterfactualLoop, name)
            for name in ("infer", "logits", "_as_logits")
        )

    # ------------------------------------------------------------------ the loop

    def _run_training_epoch(
        self, iterator: Any, prefix: str, step_fn: Callable, **fit_params: Any
    ) -> None:
        """Make counterfactuals, then run skorch's epoch on them and the batches."""
        # Here and not in a callback: `dur` includes the search, the number of chunks
        # is known, and a closure called several times (L-BFGS) sees the same chunk.
        if not self._counterfactuals_due():
            super()._run_training_epoch(iterator, prefix, step_fn, **fit_params)
            return
        started = time.perf_counter()
        pairs = self._make_pairs(*self._training_data(iterator.dataset))
        searched = time.perf_counter()
        chunks = iter(() if pairs is None else split(pairs, len(iterator)))
        dense, parts = self._dense_pass(), []

        def counterfactual_step(batch: Any, **params: Any) -> dict[str, Tensor]:
            params |= {"counterfactuals": next(chunks, None), "dense": dense}
            step = self.train_step(batch, **params)
            if "parts" in step:
                parts.append(step.pop("parts"))
            return step

        super()._run_training_epoch(iterator, prefix, counterfactual_step, **fit_params)
        if parts:
            means = torch.stack(parts).double().mean(0).tolist()
            names = (*TERMS, self.objective_.regulariser)
            for name, value in zip(names, means, strict=True):
                self.history.record(name, value)
        self.history.record("search_seconds", searched - started)
        self.history.record("update_seconds", time.perf_counter() - searched)

    def _counterfactuals_due(self) -> bool:
        """Whether this epoch trains on counterfactuals: not plain, burn-in over."""
        return self.objective_.trains_counterfactually and len(self.history) > round(
            self.burn_in * self.max_epochs
        )

    def _dense_pass(self) -> DensePass | None:
        """Passes by hand, where the module is dense layers and ReLU; else None."""
        if self._evaluates_in_its_own_way:
            return None
        layers = dense_layers(self.module_)
        if layers is None:
            return None
        return DensePass(self.module_, self.infer, self.logits, layers)

    def train_step_single(
        self,
        batch: Any,
        counterfactuals: Any = None,
        dense: DensePass | None = None,
        **fit_params: Any,
    ) -> dict[str, Tensor]:
        """Gradient of one batch and, where there are any, its counterfactuals."""
        if counterfactuals is None:
            step = super().train_step_single(batch, **fit_params)
            self._check_finite(step["loss"])
            return step
        X, y = batch
        passes = self._passes(dense, fit_params)
        self._set_training(True)
        y_pred, output = passes.forward(X, packed(counterfactuals), **fit_params)
        classification = self.get_loss(y_pred, y, X=X, training=True)
        terms = self._objective_terms(classification, counterfactuals, output, passes)
        self._check_finite(terms.total)
        passes.backward(terms.total)
        parts = torch.stack(terms[1:]).detach()
        return {"loss": terms.total.detach(), "y_pred": y_pred.detach(), "parts": parts}

    def _passes(self, dense: DensePass | None, fit_params: dict) -> Any:
        """How this step is computed: by hand, unless something stands against it."""
        if dense is not None and not fit_params and not is_autocast(self.module_):
            return dense
        return ModulePass(self.module_, self.infer, self.logits)

    def _objective_terms(
        self, classification: Tensor, pairs: Any, output: Tensor, passes: Any
    ) -> LossTerms:
        """Eq. 2 on one chunk; `output` are those of its rows as `packed` puts them."""
        objective = self.objective_
        nascent, made, real = output.split(len(pairs.target))
        adversarial = self.get_loss(nascent, pairs.label, training=True)
        logits = self._as_logits(made), self._as_logits(real)
        outputs = Outputs(*logits, passes.slopes, self.constraints_)
        divergence, regulariser = objective.terms(pairs, outputs)
        return counterfactual_loss(
            classification, adversarial, divergence, regulariser, **objective.weights
        )

    # ------------------------------------------------------------- counterfactuals

    def _make_pairs(self, X: Tensor, y: Tensor) -> Any:
        """Search counterfactuals of a sample of the training rows (Sec. III-A).

        None where no row has a class to move to.
        """
        seeds = np.random.SeedSequence([self.seed_, len(self.history)])
        # Random numbers of an epoch are a function of seed and epoch only.
        rng = torch.Generator().manual_seed(int(seeds.generate_state(1)[0]))
        rows = torch.randperm(len(X), generator=rng)[: self._n_rows(len(X))]
        factual, label = X[rows], y[rows]
        with torch.no_grad(), evaluation_mode(self.module_):
            predicted = self.logits(factual).argmax(1)
        if (y == y[0]).all():  # a batch of partial_fit with one class
            other = predicted != y[0]
            factual, label, predicted = factual[other], label[other], predicted[other]
            if not other.any():
                return None
        # Away from the predicted class, not from the true one: a search from a row that
        # is predicted as its target already would end where it starts.
        target = draw_targets(predicted, y, rng)
        result = self._search_counterfactuals(X, y, factual, label, target, rng)
        searched = Searched(factual, label, predicted, result)
        pairs = self.objective_.pair(X, y, searched, self.constraints_, rng)
        self.history.record("mature", float(result.mature.float().mean()))
        self.history.record("n_iter", float(result.n_iter.float().mean()))
        return pairs

    def _search_counterfactuals(
        self,
        X: Tensor,
        y: Tensor,
        factual: Tensor,
        label: Tensor,
        target: Tensor,
        rng: torch.Generator,
    ) -> SearchResult:
        """Let the objective make one counterfactual per factual."""
        if not self.objective_is_fitted_:
            weight = getattr(self.criterion_, "weight", None)
            self.objective_.fit(*self._with_earlier_rows(X, y), weight)
            self.objective_is_fitted_ = True
        with evaluation_mode(self.module_):
            task = SearchTask(
                self._model_to_search,
                *(factual, label, target, X, y),
                self.generator_,
                self.constraints_,
                rng,
                partial(self._search_with, factual, target),
            )
            return self.objective_.search(task)

    @property
    def _model_to_search(self) -> Callable[[Tensor], Tensor]:
        """What maps a batch to logits; a module, which is faster, where it may be."""
        return self.logits if self._evaluates_in_its_own_way else self.logit_module()

    def _search_with(
        self,
        factual: Tensor,
        target: Tensor,
        generator: BaseGenerator,
        *,
        epsilon: float | None = None,
    ) -> SearchResult:
        """Search one counterfactual per factual with the current weights."""
        return search(
            self._model_to_search,
            factual,
            target,
            generator,
            self.constraints_,
            epsilon=epsilon,
        )

    def _with_earlier_rows(self, X: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Rows of a batch of partial_fit and of earlier ones, each of them once."""
        # A batch may lack classes that earlier ones had: the classifier leaves its
        # reference rows here, so that what is learnt anew knows them too.
        earlier = getattr(self, "earlier_rows_", None)
        if earlier is None:
            return X, y
        more = [torch.as_tensor(part, device=X.device) for part in earlier]
        X, y = torch.cat([X, more[0]]), torch.cat([y, more[1]])
        # Those of this batch are among the reference rows already, and may come again.
        both = torch.cat([X.flatten(1), y[:, None].to(X)], 1).unique(dim=0)
        return both[:, :-1].reshape(-1, *X.shape[1:]), both[:, -1].to(y)

    def _n_rows(self, n: int) -> int:
        """Number of counterfactuals per epoch."""
        given = self.n_counterfactuals
        wanted = round(given * n) if isinstance(given, float) else given
        return min(max(int(wanted), 1), n)

    def _training_data(self, dataset: Any) -> tuple[Tensor, Tensor]:
        """Rows and class indices of a dataset, as tensors on the device."""
        X, y = data_from_dataset(dataset)
        X = to_tensor(np.asarray(X), device=self.device)
        return X, to_tensor(np.asarray(y), device=self.device).long()
