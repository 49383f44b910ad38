"""The search beside a plain torch loop, and beside the matrix products alone.

    python benchmarks/searching.py [--rows 1000 10000 100000] [--steps 0.1 0.02]

Ours: `search` with the L1 penalty, plain steps of 0.1 or 0.02, and constraints: a box,
one column frozen, one that only rises. `SGD` and `Adam` are the loop that one would
write: all rows in one tensor, the optimiser's steps on class loss and distance (SGD's
as ours, Adam's half of it), no constraints, until every row has reached its target.
`products` are the matrix products of forward and backward pass of the rows that are
still searched, in blocks that fit the cache.
"""

import argparse
import json

from race import in_threads, race, show

NETWORKS = {"MLP 32": (32,), "2 x 128": (128, 128)}
MAX_ITER, COST = 500, 0.001


def trained(n_features, hidden):
    """Network, rows and targets, opposite to what is predicted."""
    import torch
    from sklearn.datasets import make_classification
    from sklearn.preprocessing import scale

    from skct import MLP

    informative = max(6, n_features // 5)
    X, y = make_classification(
        20_000, n_features, n_informative=informative, random_state=0
    )
    X, y = torch.tensor(scale(X), dtype=torch.float32), torch.tensor(y)
    torch.manual_seed(0)
    model = MLP(n_features, 2, hidden_layer_sizes=hidden)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(10):
        for rows in torch.randperm(len(X)).split(128):
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(model(X[rows]), y[rows]).backward()
            optimiser.step()
    model.eval().requires_grad_(False)
    return model, X


def rows_of(model, X, n):
    import torch

    factual = X[torch.arange(n) % len(X)]
    factual = factual + 0.01 * torch.randn(factual.shape)
    return factual, 1 - model(factual).argmax(1)


def ours(model, factual, target, step):
    import torch

    from skct import Constraints, GenericGenerator, search

    d = factual.shape[1]
    names = [f"x{i}" for i in range(d)]
    low, high = factual.amin(0).tolist(), factual.amax(0).tolist()
    constraints = Constraints.from_spec(
        {"x0": "none", "x1": "increase"},
        dict(zip(names, zip(low, high, strict=True), strict=True)),
        feature_names=names,
    )
    generator = GenericGenerator(step_size=step, max_iter=MAX_ITER, lambda_cost=COST)
    with torch.no_grad():
        return search(model, factual, target, generator, constraints)


def loop(model, factual, target, lr, optimiser="SGD"):
    """States at the end of the loop that one would write."""
    import torch

    x = factual.clone().requires_grad_()
    steps = getattr(torch.optim, optimiser)([x], lr=lr)
    for _ in range(MAX_ITER):
        logits = model(x)
        if bool((logits.argmax(1) == target).all()):
            break
        loss = torch.nn.functional.cross_entropy(logits, target, reduction="sum")
        steps.zero_grad()
        (loss + COST * (x - factual).abs().sum()).backward()
        steps.step()
    return x.detach()


def products(model, n_iter, d):
    """Function that multiplies what the searched rows need, and nothing else."""
    import torch

    from skct.utils.model import BLOCK

    weights = [layer.weight for layer in model if hasattr(layer, "weight")]
    active = [int((n_iter >= t).sum()) for t in range(1, int(n_iter.max()) + 1)]
    size = BLOCK // max(d, 64)
    x = torch.randn(size, d)
    slope = torch.randn(size, 2)

    def one(n):
        state, back = x[:n], slope[:n]
        for weight in weights:
            state = state @ weight.t()
        for weight in reversed(weights):
            back = back @ weight

    def work():
        for n in [len(n_iter), *active]:  # the first look sees all rows
            for start in range(0, n, size):
                one(min(size, n - start))

    return work


def measure(threads, rows, steps, repeats):
    """Every network, size and step."""
    import torch

    torch.set_num_threads(threads)
    table = []
    for name, hidden in NETWORKS.items():
        for d in (10, 100):
            model, X = trained(d, hidden)
            for n in rows:
                factual, target = rows_of(model, X, n)
                for step in steps:
                    found = compare(model, factual, target, step, repeats)
                    table.append([name, d, n, step, *found])
    return table


def compare(model, factual, target, step, repeats):
    """Mean steps, seconds of each side, fraction of its rows that are valid."""
    from functools import partial

    found = ours(model, factual, target, step)
    task = model, factual, target
    sides = {
        "ours": partial(ours, *task, step),
        "SGD": partial(loop, *task, step),
        "Adam": partial(loop, *task, step / 2, "Adam"),
        "products": products(model, found.n_iter, factual.shape[1]),
    }
    seconds = race(sides, repeats, budget=20)
    valid = {
        name: (model(sides[name]()).argmax(1) == target).float().mean().item()
        for name in ("SGD", "Adam")
    }
    valid["ours"] = found.mature.float().mean().item()
    return found.n_iter.float().mean().item(), seconds, valid


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--steps", type=float, nargs="+", default=[0.1, 0.02])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    if len(options.threads) == 1:
        given = options.rows, options.steps, options.repeats
        found = measure(options.threads[0], *given)
        print(json.dumps(found))
        return
    table = []
    arguments = ("--repeats", options.repeats, "--rows", *options.rows)
    arguments += ("--steps", *options.steps)
    for threads, found in in_threads(__file__, *arguments, threads=options.threads):
        for name, d, n, step, steps, seconds, valid in found:
            row = {"network": name, "features": d, "rows": n, "step": step}
            row |= {"threads": threads, "mean steps": steps}
            row |= {"ours, rows/s": n / seconds["ours"]}
            for side in ("SGD", "Adam"):
                row[f"times {side}"] = (
                    valid["ours"] * seconds[side] / (valid[side] * seconds["ours"])
                )
            row["times products"] = seconds["ours"] / seconds["products"]
            row |= {f"valid, {side}": fraction for side, fraction in valid.items()}
            table.append(row)
    show(table)


if __name__ == "__main__":
    main()
