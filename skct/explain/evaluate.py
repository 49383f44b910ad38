"""What a search has found, decoded, encoded again and measured."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from .. import metrics
from ..encoding.rules import outside_domain
from ..reports.summary import unsure
from ..utils.model import batched_logits
from ..utils.polars import as_polars, is_polars
from .explained_model import ExplainedModel
from .explanation import CounterfactualExplanation, row_fields
from .requests import STUCK, Batch

__all__ = ["concatenate", "evaluate", "restore_type"]


def evaluate(
    model: ExplainedModel,
    batch: Batch,
    weights: np.ndarray,
    found: np.ndarray,
    n_iter: np.ndarray,
    confidence: float,
) -> CounterfactualExplanation:
    """Explanation of a batch; what counts is what stands in the decoded table.

    Parameters
    ----------
    model : ExplainedModel
    batch : Batch
        n rows.
    weights : ndarray of shape (n_raw_columns,)
        Cost of each raw column.
    found : ndarray of shape (n, *features)
        Model input of what was found for the rows.
    n_iter : ndarray of shape (n,)
        Steps of the search.
    confidence : float
        Target probability that was asked for.
    """
    # The user gets the decoded table, where integers are whole and categories real, so
    # the model has to be asked about that, not about what the search has seen.
    space, target = model.space, batch.target
    table = space.decode(found, batch.X, model.rules)
    encoded_again = space.encode(table)
    logits = batched_logits(model.module, encoded_again)
    valid = (logits.argmax(1) == target).numpy()
    probability = logits.softmax(1).gather(1, target[:, None]).squeeze(1).numpy()
    before, owner = space.cost_coordinates(batch.encoded)
    after, _ = space.cost_coordinates(encoded_again)
    # A raw column has changed if any of its coordinates has.
    changed = np.zeros((len(found), len(space.feature_names)), dtype=bool)
    np.logical_or.at(changed.T, owner, (before != after).T)
    X = batch.X
    explanation = CounterfactualExplanation(
        factual=X,
        counterfactual=table,
        row=np.asarray(X.index) if hasattr(X, "index") else batch.rows,
        target=model.classes[target.numpy()],
        predicted=model.classes[batch.logits.argmax(1).numpy()],
        valid=valid,
        mature=valid & (probability >= confidence),
        cost=metrics.cost(before, after, weights=weights[owner]),
        implausibility=implausibilities(model, encoded_again, target.numpy()),
        probability=probability,
        n_changed=changed.sum(1),
        n_iter=n_iter,
        reason=np.full(len(found), "", dtype=object),
        mutability=np.array([rule.mutability for rule in model.rules], dtype=object),
    )
    return with_reasons(model, explanation, changed, confidence)


def concatenate(
    parts: Sequence[CounterfactualExplanation],
) -> CounterfactualExplanation:
    """One explanation of the explanations of consecutive batches."""
    if len(parts) == 1:
        return parts[0]

    def join(values: list) -> Any:
        if values[0] is None:
            return None
        if hasattr(values[0], "iloc"):
            return pd.concat(values)
        return np.concatenate(values)

    joined = {
        name: join([getattr(part, name) for part in parts]) for name in row_fields()
    }
    return replace(parts[0], **joined)


def implausibilities(
    model: ExplainedModel, encoded: np.ndarray, target: np.ndarray
) -> np.ndarray | None:
    """Mean L1 distance of each row from reference rows of its target class."""
    if model.reference is None:
        return None
    rows, codes = model.reference
    coordinates, _ = model.space.coordinates(encoded)
    reference, _ = model.space.coordinates(rows)
    out = np.full(len(coordinates), np.nan)
    for code in np.unique(target):
        theirs, here = reference[codes == code], target == code
        if len(theirs):
            out[here] = metrics.implausibility(coordinates[here], theirs)
    return out


def with_reasons(
    model: ExplainedModel,
    explanation: CounterfactualExplanation,
    changed: np.ndarray,
    confidence: float,
) -> CounterfactualExplanation:
    """Explanation that says why a row failed, or fell short of the confidence."""
    valid, n_iter, texts = explanation.valid, explanation.n_iter, explanation.reason
    if explanation.mature.all():
        return explanation
    texts = texts.copy()
    for i in np.flatnonzero(~valid):
        stuck = not changed[i].any()
        what = f"stopped at target probability {explanation.probability[i]:.2f}"
        what = STUCK if stuck else what
        texts[i] = f"{what} after {n_iter[i]} steps"
    outside_of = outside_domain(
        model.space.schema, model.rules, explanation.factual, given_only=False
    )
    for name, outside in outside_of:
        for i in np.flatnonzero(~valid & outside):
            texts[i] += f"; {name!r} lies outside its domain"
    for i in np.flatnonzero(unsure(explanation)):
        reached = below(explanation.probability[i], confidence)
        texts[i] = f"reached target probability {reached}, asked for {confidence:g}"
    return replace(explanation, reason=texts)


def below(probability: float, confidence: float) -> str:
    """A probability with as many digits as show that it is less than asked for."""
    texts = (f"{probability:.{digits}f}" for digits in range(2, 8))
    return next((text for text in texts if float(text) < confidence), "just less")


def restore_type(
    explanation: CounterfactualExplanation, like: Any
) -> CounterfactualExplanation:
    """Sparse in, sparse out; polars in, polars out."""
    tables = explanation.factual, explanation.counterfactual
    if is_polars(like):
        factual = like[explanation.row]
        tables = factual, as_polars(tables[1], factual)
    elif hasattr(like, "toarray"):
        tables = [type(like)(table) for table in tables]
    else:
        return explanation
    return replace(explanation, factual=tables[0], counterfactual=tables[1])
