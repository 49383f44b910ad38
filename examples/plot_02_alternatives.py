"""
Several ways to a loan, and ways that look like real people
===========================================================

One answer is one way. Applicants rather choose among several, and an answer that looks
like nobody in the data is worth little. This example asks for three different answers
per patient of the diabetes data, and compares searches: the closest answer (Wachter et
al.), ECCCo, answers drawn towards observed rows, and answers on the manifold of an
autoencoder (REVISE).
"""

# %%
# A model and a few patients whose disease is predicted to progress fast.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_diabetes

from skct import CounterfactualExplainer, CounterfactualTrainingClassifier

X, progression = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
y = np.where(progression > progression.median(), "fast", "slow")
clf = CounterfactualTrainingClassifier(
    mutability={"age": "none", "sex": "none", "bmi": "decrease"}, random_state=0
)
clf.fit(X, y)
fast = X[clf.predict(X) == "fast"]

# %%
# Three answers each: valid, cheap, and as different from each other as can be. The
# first is the one that `explain` gives alone.

answer = clf.explain(fast.head(4), target="slow", n_alternatives=3)
print(answer.to_frame()[["bmi", "bp", "s1", "s5", "cost", "valid"]].round(2))
_ = answer.plot()

# %%
# The same patients under four searches. Implausibility is the mean distance from
# patients with slow progression, cost the distance from the patient, both in
# interquartile ranges (IQRs) summed over columns. ``refine=False`` leaves answers as
# the searches have found them; by default they are made cheaper and sparser
# afterwards, whatever the search was after.

rows = {}
for name in ("generic", "eccco", "gravitational", "revise"):
    explainer = CounterfactualExplainer(
        clf, generator=name, refine=False, random_state=0
    ).fit(X, y)
    rows[name] = explainer.explain(fast, target="slow").summary()
table = pd.DataFrame(rows).T[["valid", "cost", "implausibility", "n_changed"]]
print(table.round(2))

# %%
# Plausibility has its price: answers that look more like other patients lie further
# away. A single data set shows no more than that such a choice exists.

figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
markers = {"generic": "o", "eccco": "x", "gravitational": "s", "revise": "D"}
for name, marker in markers.items():
    line = table.loc[name]
    ax.scatter(line["cost"], line["implausibility"], s=80, marker=marker, label=name)
ax.margins(0.15)
ax.set(xlabel="Cost (IQRs)", ylabel="Implausibility (the same)")
_ = ax.legend(title="Search")
