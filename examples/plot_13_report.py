"""
A report: from a CSV file to advice that people can read
========================================================

The file holds numbers, words, yes and no, gaps and labels as text, as files do. No
preparation: read it, train, ask, and write a report that anybody can open in a browser.
"""

# %%
# A CSV of customers of a telephone company, some of whom have left. (Made here, with a
# seed, so that the example needs no download; yours is ``pd.read_csv("...")``.)

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skct import CounterfactualTrainingClassifier

folder = Path(tempfile.mkdtemp())


def write_csv(path, n=800, seed=0):
    rng = np.random.default_rng(seed)
    months = rng.integers(1, 72, n)
    contract = np.where(rng.random(n) < 0.6, "monthly", "yearly")
    calls = rng.poisson(1.5, n)
    fee = rng.normal(60, 18, n).clip(20, 110).round(2)
    score = 0.03 * (fee - 60) + 0.6 * (calls - 1.5) - 0.035 * (months - 36)
    score += np.where(contract == "monthly", 0.9, -1.0) + rng.normal(0, 0.7, n)
    table = pd.DataFrame(
        {
            "customer": [f"C{i:04}" for i in range(n)],
            "age": rng.integers(18, 80, n),
            "months": months,
            "contract": contract,
            "fee": fee,
            "payment": rng.choice(["card", "transfer", "cheque"], n),
            "paperless": rng.choice(["yes", "no"], n),
            "service_calls": calls,
            "churn": np.where(score > 0, "leaves", "stays"),
        }
    )
    table.loc[rng.random(n) < 0.06, "fee"] = np.nan
    table.loc[rng.random(n) < 0.04, "payment"] = np.nan
    table.to_csv(path, index=False)


write_csv(folder / "customers.csv")
table = pd.read_csv(folder / "customers.csv", index_col="customer")
print(table.head().to_string())
X, y = table.drop(columns="churn"), table["churn"]

# %%
# What the company can change: contract and fee, but not the customer's age, or how long
# she has been there; calls to the service only become fewer. Missing values are filled
# in, and one warning says in which columns, how many, and by what.

clf = CounterfactualTrainingClassifier(
    mutability={"age": "none", "months": "none", "service_calls": "decrease"},
    random_state=0,
)
clf.set_params(net__lr=0.01, net__batch_size=64, net__max_epochs=30)
clf.fit(X[:600], y[:600])
print(f"accuracy on the other 200: {clf.score(X[600:], y[600:]):.2f}")

# %%
# Who is about to leave, and what would make each of them stay? ``changes`` is the tidy
# list for a letter or a spreadsheet.

leaving = X[600:][clf.predict(X[600:]) == "leaves"]
answer = clf.explain(leaving, target="stays")
print(answer.changes().head(8).to_string(index=False))
print(answer.summary().round(2).to_string())


def letter(changes):
    def text(value):
        return f"{value:.2f}" if isinstance(value, float) else str(value)

    parts = [f"{c['feature']} {text(c['from'])} -> {text(c['to'])}" for c in changes]
    return ", ".join(parts)


by_customer = answer.changes().groupby("row", sort=False)
for customer, changes in list(by_customer)[:3]:
    print(f"{customer}: {letter(changes.to_dict('records'))}")

# %%
# The whole answer as a table, and as a page that needs nothing but a browser.

print(answer.to_frame().head(3).T.to_string())
report = folder / "report.html"
report.write_text(answer[:20].to_html(), encoding="utf-8")
print(f"{report.name}: {len(report.read_text(encoding='utf-8')) // 1000} kB")

# %%
# What helps most often?

counts = answer.changes()["feature"].value_counts()
figure, ax = plt.subplots(figsize=(7, 3), layout="constrained")
ax.barh(counts.index, 100 * counts / answer.valid.sum(), color="#0072B2")
ax.invert_yaxis()
ax.set_title("What would make customers stay")
_ = ax.set_xlabel("Customers whose answer changes this column (%)")
