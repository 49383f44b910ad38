"""
Optuna: giving up early on implausible models
=============================================

Training a model to the end only to learn that its counterfactuals look like nobody in
the data is a waste. Optuna can stop such trials early: each one trains epoch by epoch,
reports the plausibility of its counterfactuals on validation data, and is pruned if it
lags behind the others. (Needs Optuna: ``pip install "skct[tune]"``.)
"""

# %%
# 569 biopsies, 30 measurements of cell nuclei each, benign or malignant.

import matplotlib.pyplot as plt
import numpy as np
import optuna
import pandas as pd
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

from skct import CounterfactualTrainingClassifier
from skct.scoring import counterfactual_scorer

X, y = load_breast_cancer(return_X_y=True, as_frame=True)
y = np.where(y == 1, "benign", "malignant")
X_train, X_valid, y_train, y_valid = train_test_split(
    X, y, test_size=0.4, stratify=y, random_state=0
)

# %%
# The objective of a trial: settings of the paper's training, which asks for plausible
# counterfactuals. ``partial_fit`` trains for one epoch. Every fourth one we
# score the counterfactuals of the validation rows, report the score and ask Optuna
# whether to go on. One call of the scorer gives accuracy and plausibility; the pruner
# looks at the latter, which is the larger the better.

scorer = counterfactual_scorer(("accuracy", "neg_implausibility"))
N_EPOCHS = 20


def objective(trial):
    clf = CounterfactualTrainingClassifier(
        objective="paper",
        lambda_div=trial.suggest_float("lambda_div", 0.01, 2.0, log=True),
        lambda_adv=trial.suggest_float("lambda_adv", 0.0, 1.0),
        random_state=0,
    )
    clf.set_params(
        generator__threshold=trial.suggest_float("threshold", 0.5, 0.9),
        net__lr=trial.suggest_float("lr", 1e-3, 3e-2, log=True),
        net__batch_size=64,
    )
    for epoch in range(1, N_EPOCHS + 1):
        clf.partial_fit(X_train, y_train)
        if epoch % 4 == 0:
            scores = scorer(clf, X_valid, y_valid)
            trial.set_user_attr("accuracy", scores["accuracy"])
            trial.report(scores["neg_implausibility"], epoch)
            if trial.should_prune():
                raise optuna.TrialPruned
    return scores["neg_implausibility"]


# %%
# The median pruner stops a trial that is worse than the median of the earlier ones at
# the same epoch; the first three run to the end, so that there is something to compare
# with. With a seeded sampler the study is the same every time.

optuna.logging.set_verbosity(optuna.logging.WARNING)
study = optuna.create_study(
    direction="maximize",
    sampler=optuna.samplers.TPESampler(seed=0),
    pruner=optuna.pruners.MedianPruner(n_startup_trials=3, n_warmup_steps=4),
)
study.optimize(objective, n_trials=8)

trials = study.trials_dataframe(attrs=("number", "params", "user_attrs", "state"))
trials = trials.rename(columns={"user_attrs_accuracy": "accuracy"})
trials.columns = [c.removeprefix("params_") for c in trials.columns]
trials["epochs"] = [max(t.intermediate_values) for t in study.trials]
trials["neg_implausibility"] = [
    t.intermediate_values[max(t.intermediate_values)] for t in study.trials
]
print(trials.round(4).to_string(index=False))
spent, full = trials["epochs"].sum(), N_EPOCHS * len(trials)
print(f"{(trials['state'] == 'PRUNED').sum()} of {len(trials)} trials pruned")
print(f"{spent} epochs instead of {full}")
print("best:", {k: round(v, 3) for k, v in study.best_params.items()})

# %%
# Every line is a trial; those that end early were pruned (the axis ends at 32; a
# trial may start above). Pruning is a bet: a trial that starts slowly, with a small
# learning rate say, is stopped whatever it might have become.

figure, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")
styles = {
    "PRUNED": {"color": "0.6", "linestyle": "--", "marker": "x", "markevery": [-1]},
    "COMPLETE": {"color": "#0072B2", "marker": "o", "markevery": [-1]},
}
for trial in study.trials:
    values = pd.Series(trial.intermediate_values).mul(-1)
    ax.plot(values.index, values, **styles[trial.state.name], label=trial.state.name)
best = pd.Series(study.best_trial.intermediate_values).mul(-1)
ax.plot(best.index, best, color="#D55E00", linewidth=3, label="best")
lines = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
ax.legend(lines.values(), [name.lower() for name in lines])
_ = ax.set(
    xlabel="Epoch",
    ylim=(24, 32),
    ylabel="Implausibility on validation rows\n(IQRs, all columns)",
)
