"""Rows that are explained together: search, refine, evaluate, and choose among them."""

from typing import Any

import numpy as np
import torch
from sklearn.exceptions import NotFittedError
from torch import Tensor

from ..encoding.reference import observed_rows
from ..solvers.fallback import try_other_ways
from ..solvers.refine import refine
from ..solvers.search import search
from ..utils.model import module_device, sound_logits
from .alternatives import random_feature_weights, select_alternatives
from .evaluate import evaluate
from .explained_model import ExplainedModel
from .explanation import CounterfactualExplanation
from .requests import Batch, Settings

__all__ = ["explain_batch"]


def explain_batch(
    model: ExplainedModel,
    X: Any,
    rows: np.ndarray,
    target: Tensor | None,
    settings: Settings,
) -> CounterfactualExplanation:
    """Explanation of one batch; without a target each row gets its runner-up class.

    Alternatives come of searches with other weights of the columns, all in one search.
    """
    encoded = model.space.encode(X)
    logits = sound_logits(model.module, encoded)
    if target is None:
        target = logits.topk(2, dim=1).indices[:, 1]
    batch, weights = Batch(X, rows, encoded, logits, target), settings.weights
    drawn = random_feature_weights(settings.n_alternatives, len(weights))
    if len(drawn) > 1:
        batch = batch.repeated(len(drawn))
        drawn = np.repeat(drawn, len(X), axis=0)
    found, unrefined, n_iter = find(model, batch, weights * drawn, settings)
    confidence = settings.confidence
    explanation = evaluate(model, batch, weights, found, n_iter, confidence)
    moved = (found != unrefined).reshape(len(found), -1).any(1)
    undone = ~explanation.mature & moved
    if undone.any():
        # Refinement ends on the threshold, and decoding may round back across it;
        # the result of the search lies further inside, unless that is rounded, too.
        rough, told = found.copy(), explanation.valid + explanation.probability
        rough[undone] = unrefined[undone]
        explanation = evaluate(model, batch, weights, rough, n_iter, confidence)
        worse = explanation.valid + explanation.probability < told
        if worse.any():
            rough[worse] = found[worse]
            explanation = evaluate(model, batch, weights, rough, n_iter, confidence)
    if settings.n_alternatives == 1:
        return explanation
    return select_alternatives(model, explanation, weights, settings.n_alternatives)


def find(
    model: ExplainedModel, batch: Batch, weights: np.ndarray, settings: Settings
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Refined and unrefined counterfactuals as model input, and steps of the search.

    Rows that are predicted as their target already come back unchanged.
    """
    found, n_iter = batch.encoded.copy(), np.zeros(len(batch.encoded), dtype=int)
    unrefined = found
    searched = (batch.logits.argmax(1) != batch.target).numpy()
    if searched.any():
        weights = weights[searched] if len(weights) > 1 else weights
        result = search_encoded(
            model, batch.encoded[searched], batch.target[searched], weights, settings
        )
        unrefined = found.copy()
        found[searched], unrefined[searched], n_iter[searched] = result
    return found, unrefined, n_iter


def search_encoded(
    model: ExplainedModel,
    encoded: np.ndarray,
    target: Tensor,
    weights: np.ndarray,
    settings: Settings,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As `find`, for rows of which none is predicted as its target."""
    device = module_device(model.module)
    factual = torch.from_numpy(encoded).to(device)
    constraints = model.constraints.to(device)
    scale = feature_weights(weights[:, model.space.owner], factual)
    try:
        result = search(
            model.module,
            factual,
            target.to(device),
            model.generator,
            constraints,
            weights=scale,
            keep_best=True,
        )
    except NotFittedError as error:
        raise NotFittedError(
            f"{type(model.generator).__name__} learns from training rows, and the "
            "classifier has kept none (n_reference=0): call fit(X, y) of the "
            "explainer first."
        ) from error
    unrefined, n_iter = (
        part.cpu().numpy() for part in (result.counterfactual, result.n_iter)
    )
    if not settings.refine:
        return unrefined, unrefined, n_iter
    reference = None
    if model.reference is not None:
        rows, codes = (torch.from_numpy(part).to(device) for part in model.reference)
        reference = rows, codes
    threshold = model.generator.threshold
    members = None if observed_rows(model.reference) is None else reference
    result = try_other_ways(
        model.module, result, factual, constraints, threshold, scale, members
    )
    unrefined = result.counterfactual.cpu().numpy()
    refined = refine(
        model.module,
        result,
        factual,
        constraints,
        threshold,
        scale,
        plausibility_weight=settings.plausibility_weight,
        reference=reference,
    )
    return refined.cpu().numpy(), unrefined, n_iter


def feature_weights(weights: np.ndarray, factual: Tensor) -> Tensor | None:
    """Weights of the model input in the shape of `factual`; None if all are 1."""
    if (weights == 1).all():
        return None
    weights = torch.as_tensor(weights, dtype=torch.float32, device=factual.device)
    return weights.reshape(-1, *factual.shape[1:])
