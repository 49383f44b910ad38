"""What a classifier takes over from its trained net."""

from __future__ import annotations

from typing import Any

import pandas as pd

from ..exceptions import SearchWarning
from ..utils.caller import warn

__all__ = ["history_table", "trained", "warn_immature"]


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


def warn_immature(history: pd.DataFrame, generator: Any, least: float = 0.05) -> None:
    """Warn if hardly any counterfactual of the last epoch reached the threshold."""
    fraction = (
        history["mature"].iloc[-1] if "mature" in history and len(history) else 1.0
    )
    if fraction < least:
        warn(
            f"{fraction:.0%} of the counterfactuals of the last epoch matured: they "
            f"reached threshold={generator.threshold} within "
            f"max_iter={generator.max_iter} steps. There is little to learn from so "
            "few; lower the generator's threshold, raise its max_iter or "
            "step_size, or train for more epochs.",
            SearchWarning,
        )
