"""What a classifier takes over from its trained net."""

from __future__ import annotations

from typing import Any

import pandas as pd

__all__ = ["history_table", "trained"]


def trained(net: Any) -> dict[str, Any]:
    """Fitted attributes that are read off the net."""
    return {
        "module_": net.logit_module(),
        "generator_": net.generator_,
        "n_iter_": len(net.history),
        "history_": history_table(net.history),
    }


def history_table(history: Any) -> pd.DataFrame:
    """One row per epoch; what is recorded per batch is left out."""
    rows = [
        {k: v for k, v in epoch.items() if k != "batches" and not k.endswith("_best")}
        for epoch in history
    ]
    table = pd.DataFrame(rows)
    return table.drop(columns="train_batch_count", errors="ignore")
