"""Judgement of what a search has found: decoded, re-encoded and measured."""

from dataclasses import replace

import numpy as np
import pandas as pd

from .. import metrics
from ..encoding.rules import outside_domain
from ..utils.model import batched_logits
from ..utils.polars import as_polars, is_polars
from .explanation import CounterfactualExplanation, row_fields

__all__ = ["concatenate", "judge", "restore_type"]


def judge(view, X, rows, encoded, logits, wanted, weights, found, n_iter):
    """Explanation of rows: what counts is what stands in the table.

    Parameters
    ----------
    view : View
    X : DataFrame or ndarray of n rows
    rows : ndarray of shape (n,)
        Their positions in the whole table.
    encoded, found : ndarray of shape (n, *features)
        Model input of the factuals, and of what was found for them.
    logits, wanted : Tensor of shape (n, n_classes) and (n,)
        Logits of the factuals, and the class index that each is to reach.
    weights : ndarray of shape (n_raw_columns,)
    n_iter : ndarray of shape (n,)
    """
    table = view.space.decode(found, X, view.rules)
    encoded_again = view.space.encode(table)
    final = batched_logits(view.module, encoded_again)
    valid = (final.argmax(1) == wanted).numpy()
    probability = final.softmax(1).gather(1, wanted[:, None]).squeeze(1).numpy()
    before, owner = view.space.coordinates(encoded)
    after, _ = view.space.coordinates(encoded_again)
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
        mutability=np.array([rule.word for rule in view.rules], dtype=object),
    )


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

    joined = {
        name: join([getattr(part, name) for part in parts]) for name in row_fields()
    }
    return replace(parts[0], **joined)


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
