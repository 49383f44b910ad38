"""Figures of what models have learned: Fig. 1, 3 and 4, and decision surfaces.

Fig. 1 trains its own linear classifiers, in seconds. The others read the weights that
`reproduce.py` has left beside its results, of the first seed; a figure whose cells are
not finished is left out.

Every `draw_...` yields (title, matplotlib Figure, caption).
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from cells import WEIGHTS, Cell, versions_of
from data import load
from protocol import ECCCO, MAX_ITER, PLAUSIBLE, find, predict
from reference import ReferenceNet

from skct import GenericGenerator
from skct.attribution import integrated_gradients
from skct.metrics import cost
from skct.plotting import AttributionDisplay, DecisionSurfaceDisplay, ImageGridDisplay

SEED = 0
SYNTHETIC = ("LS", "OL", "Circ", "Moon")
IMAGE = (28, 28)
CLASSES = ("class 0", "class 1")
GREEN = "#009E73"

# ------------------------------------------------------------------------------ Fig. 1

LINEAR = {
    "lambda_div": 0.5,
    "lambda_adv": 0.1,
    "lambda_reg": 0.01,
    "n_counterfactuals": 600,
    "generator": GenericGenerator(threshold=0.5, max_iter=30),
}
PLAIN = dict.fromkeys(("lambda_div", "lambda_adv", "lambda_reg"), 0.0)
N_LINEAR = 600  # rows that the linear classifiers see
LOAN = ("loan withheld", "loan provided")
SHOWN = {"threshold": 0.75}  # target probability of the counterfactuals in Fig. 1


class Linear(NamedTuple):
    """One panel of Fig. 1."""

    title: str
    module: torch.nn.Module
    constrained: bool


def draw_linear():
    """Fig. 1: what counterfactuals of linear classifiers look like."""
    task, panels = linear_panels()
    generator = GenericGenerator(max_iter=MAX_ITER)
    rows = agreed_rows(task, [p.module for p in panels], 0, 20)
    figure, axes = subplots(2, 2, figsize=(8.0, 7.0))
    for ax, (title, module, constrained) in zip(axes.flat, panels, strict=True):
        asked = SHOWN | {"constrained": constrained}
        panel = surface(module, task, rows, generator, asked, LOAN, ("age", "debt"))
        tidy(panel.plot(ax=ax), title)
        green_boundary(panel)
    shared_legend(figure)
    yield "Fig. 1", figure, linear_caption(linear_effects(task, panels))


def linear_panels(seed=SEED, epochs=40, lr=0.025):
    """Linear classifiers of the four panels of Fig. 1.

    Conventional training knows no mutability, so that (a) and (c) share a model.

    Returns
    -------
    task : Task
        LS; age is its first column, which the experiments protect too.
    panels : list of Linear

    Notes
    -----
    Settings of the authors' script, except for the learning rate, fewer epochs and
    rows, one counterfactual per row instead of 1,000, which save time, and that a
    counterfactual matures at a target probability of 0.5 in training, as the paper's
    tuning found for LS (0.75 is that of the search that is shown). With 0.75, hardly
    any counterfactual with fixed age matures from most initial weights, and nothing
    tilts; with 0.5 the boundary tilts from four of the first five seeds.
    """
    task, who = load("LS"), {"seed": seed, "epochs": epochs, "lr": lr}
    plain = train_linear(task, False, **(who | PLAIN))
    return task, [
        Linear("(a) conventional, all mutable", plain, False),
        Linear("(b) CT, all mutable", train_linear(task, False, **who), False),
        Linear("(c) conventional, age immutable", plain, True),
        Linear("(d) CT, age immutable", train_linear(task, True, **who), True),
    ]


def train_linear(task, constrained, *, seed, epochs, lr, **weights):
    """Linear classifier with two logits, in eval mode."""
    net = ReferenceNet(
        module__hidden_layer_sizes=(),
        optimizer__amsgrad=True,
        batch_size=50,
        max_epochs=epochs,
        lr=lr,
        constraints=task.constraints(task.protected if constrained else ()),
        random_state=seed,
        **(LINEAR | weights),
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net.fit(task.X_train[:N_LINEAR], task.y_train[:N_LINEAR])
    return net.module_.eval()


def linear_effects(task, panels, n_rows=200):
    """What Fig. 1 shows, in numbers.

    Returns
    -------
    effects : DataFrame
        One row per panel, "a" to "d". `depth`: place of the counterfactuals on the way
        from the centre of their own class (0) to that of the target (1). `fine_depth`:
        the same where the search takes steps so small that it stops at the threshold.
        `age`: share of age in the absolute weights of the model. `cost`: L1 distance
        travelled. `mature`: share of searches that reached the threshold.
    """
    rows = agreed_rows(task, [p.module for p in panels], 0, n_rows)
    effects = [effect(task, panel, rows) for panel in panels]
    return pd.DataFrame(effects, index=list("abcd"))


def effect(task, panel, rows):
    """Numbers of one panel."""
    coarse, fine = (
        GenericGenerator(max_iter=n, step_size=size)
        for n, size in ((MAX_ITER, 0.1), (20 * MAX_ITER, 0.005))
    )
    target, asked = np.ones_like(rows), SHOWN | {"constrained": panel.constrained}
    found, exact = (
        find(panel.module, task, rows, target, generator, **asked)
        for generator in (coarse, fine)
    )
    answer = found.counterfactual.numpy()
    return {
        "depth": depth(task, answer),
        "fine_depth": depth(task, exact.counterfactual.numpy()),
        "age": weight_of_age(panel.module),
        "cost": float(cost(task.X_test[rows], answer).mean()),
        "mature": float(found.mature.float().mean()),
    }


def depth(task, answer):
    """Mean place between the centres of class 0 (0) and class 1 (1)."""
    start, end = (task.X_train[task.y_train == k].mean(0) for k in (0, 1))
    way = end - start
    return float(((answer - start) @ way / (way @ way)).mean())


def weight_of_age(module):
    """Share of the first column in the absolute weights of a linear classifier."""
    weight = (module[0].weight[1] - module[0].weight[0]).detach().abs()
    return float(weight[0] / weight.sum())


def linear_caption(effects):
    """What to see in Fig. 1, with its numbers."""
    e = effects.round(2)
    return (
        "Stars: counterfactuals, the boundary in green. Place of the counterfactuals "
        "between the centres of their own (0) and the target class (1): "
        f"{e.depth.b:.2f} with CT (b), {e.depth.a:.2f} without (a). Searched in steps "
        f"a twentieth as long: {e.fine_depth.b:.2f} and {e.fine_depth.a:.2f}, so what "
        "(b) gains is the length of the last step, which grows with the weights. Share "
        f"of the immutable age in the weights: {e.age.d:.2f} with CT (d), "
        f"{e.age.c:.2f} without (c); cost {e.cost.d:.2f} and {e.cost.c:.2f}; target "
        f"probability of {SHOWN['threshold']} reached by {e.mature.d:.0%} and "
        f"{e.mature.c:.0%}."
    )


# ------------------------------------------------------------------------------ Fig. 3


def draw_images(results):
    """Fig. 3: a zero, and what would be another digit for BL and CT."""
    stored = stored_modules(results, "MNIST", ("BL", "CT"))
    if stored is None:
        return
    task, modules = stored
    (row,) = agreed_rows(task, modules.values(), 0, 1)
    found = {name: other_digits(m, task, row) for name, m in modules.items()}
    digits = range(1, 10)
    factual = task.X_test[[row] * len(found)]
    display = ImageGridDisplay(
        factual,
        {k: np.stack([images[k - 1] for images, _ in found.values()]) for k in digits},
        image_shape=IMAGE,
        target={k: [words[k - 1] for _, words in found.values()] for k in digits},
        row_labels=list(found),
    ).plot()
    yield "Fig. 3", display.figure_, images_caption()


def other_digits(module, task, row):
    """Counterfactuals of one image for the digits 1 to 9, and what the model says."""
    target = np.arange(1, 10)
    found = find(module, task, np.full(9, row), target, ECCCO, **PLAUSIBLE)
    with torch.no_grad():
        sure = module(found.counterfactual).softmax(1).max(1)
    words = [
        f"{k}: {p:.0%}" for k, p in zip(sure.indices.tolist(), sure.values, strict=True)
    ]
    return found.counterfactual.numpy(), words


def images_caption():
    return (
        "The first test image that both models take for the 0 that it is (framed), and "
        "its counterfactuals for the digits above the columns. Over each image: what "
        "the model says, and how surely. ECCCo, energy weight "
        f"{ECCCO.lambda_energy:g}, at most {MAX_ITER} steps to a target probability of "
        f"{PLAUSIBLE['threshold']}."
    )


# ------------------------------------------------------------------------------ Fig. 4


def draw_attribution(results):
    """Fig. 4: where BL and CT with protected rows of pixels look."""
    stored = stored_modules(results, "MNIST", ("BL", "CT-constrained"))
    if stored is None:
        return
    task, modules = stored
    protected = np.isin(np.arange(task.X_test.shape[1]), task.protected)
    figure, axes = subplots(len(modules), 1, figsize=(11.5, 2.9))
    shares = []
    for ax, (name, module) in zip(axes.flat, modules.items(), strict=True):
        maps = attribution(module, task)
        shares.append(np.abs(maps)[:, protected].sum() / np.abs(maps).sum())
        style = {"protected": protected, "image_shape": IMAGE, "unit": "logits"}
        AttributionDisplay(maps, range(10), **style).plot(ax=ax)
        ax.set_ylabel(name.replace("-", "\n"), rotation=0, ha="right", va="center")
        ax.set_xlabel("")
    yield "Fig. 4", figure, attribution_caption(*shares)


def attribution(module, task, seed=SEED):
    """Mean integrated gradients by class; every image has a baseline of its own."""
    baseline = np.random.default_rng(seed).uniform(-1.0, 1.0, task.X_test.shape)
    path = {"baseline": baseline, "n_steps": 20}
    given = integrated_gradients(module, task.X_test, task.y_test, **path)
    return np.stack([given[task.y_test == k].mean(0) for k in np.unique(task.y_test)])


def attribution_caption(base, ours):
    return (
        "Integrated gradients of the logit of the own class, mean over its test "
        "images, baselines from U(-1, 1); red: for the class, blue: against it; one "
        "scale per row of images. Framed: the protected rows of pixels, on which lie "
        f"{base:.0%} of all absolute values for BL and {ours:.0%} for CT-constrained."
    )


# -------------------------------------------------------------------- decision surfaces


def draw_surfaces(results):
    """Decision surfaces of BL and CT on the synthetic sets that are finished."""
    stored = {name: stored_modules(results, name, ("BL", "CT")) for name in SYNTHETIC}
    stored = {name: pair for name, pair in stored.items() if pair is not None}
    if not stored:
        return
    figure, axes = subplots(2, len(stored), figsize=(3.3 * len(stored) + 0.3, 6.6))
    for column, (name, (task, modules)) in zip(axes.T, stored.items(), strict=True):
        rows = [agreed_rows(task, modules.values(), k, 8) for k in (0, 1)]
        for ax, (model, module) in zip(column, modules.items(), strict=True):
            panel = surface(module, task, np.concatenate(rows), ECCCO, PLAUSIBLE)
            tidy(panel.plot(ax=ax), f"{name}: {model}")
            ax.set(xlabel="", ylabel="")
    shared_legend(figure)
    yield "Decision surfaces of BL and CT", figure, surfaces_caption()


def surfaces_caption():
    return (
        "The same test points, right under both models, and their counterfactuals by "
        f"ECCCo, energy weight {ECCCO.lambda_energy:g}, at most {MAX_ITER} steps to a "
        f"target probability of {PLAUSIBLE['threshold']}. Lines lead from start to end."
    )


# ------------------------------------------------------------------------------ shared


def stored_modules(results, data, models):
    """Task and trained modules by name; None unless all of them are finished."""
    cells = [Cell(data, SEED, m, versions_of(data, m, ("V2",))[0]) for m in models]
    paths = [cell.path(results.folder) for cell in cells]
    if not all(p.is_file() and p.with_suffix(WEIGHTS).is_file() for p in paths):
        return None
    task = load(data)
    return task, {cell.model: cell.module(results.folder, task) for cell in cells}


def agreed_rows(task, modules, label, n):
    """First test rows of a class that all modules predict right."""
    right = task.y_test == label
    for module in modules:
        right &= predict(module, task.X_test) == label
    return np.flatnonzero(right)[:n]


def surface(module, task, rows, generator, asked, classes=CLASSES, names=("", "")):
    """Display of a binary model on two columns, with counterfactuals of some rows."""
    target = 1 - predict(module, task.X_test[rows])
    found = find(module, task, rows, target, generator, **asked)
    answer, classes = found.counterfactual.numpy(), np.array(classes)
    fixed = task.protected if asked["constrained"] else ()
    return DecisionSurfaceDisplay(
        *probabilities(module, task),
        task.X_train[:300],
        classes[task.y_train[:300]],
        np.stack([task.X_test[rows], answer], axis=1),
        target=classes[target],
        valid=predict(module, answer) == target,
        classes=classes,
        feature_names=names,
        mutability=["none" if j in fixed else "both" for j in range(2)],
    )


def probabilities(module, task, resolution=150):
    """Grid over the domain with a margin, and class probabilities on it."""
    margin = 0.08 * (task.upper - task.lower)
    low, high = task.lower - margin, task.upper + margin
    xx, yy = np.meshgrid(*np.linspace(low, high, resolution, dtype=np.float32).T)
    points = torch.as_tensor(np.column_stack([xx.ravel(), yy.ravel()]))
    with torch.no_grad():
        response = module(points).softmax(1).numpy()
    return xx, yy, response.reshape(*xx.shape, -1)


def subplots(nrows, ncols, **options):
    import matplotlib.pyplot as plt

    options |= {"layout": "constrained", "squeeze": False}
    return plt.subplots(nrows, ncols, **options)


def tidy(display, title):
    """Drop what the panels of one figure share; keep to the grid."""
    display.colorbar_.remove()
    display.ax_.get_legend().remove()
    display.ax_.set_title(title, fontsize=11)
    display.ax_.set_xlim(display.xx[0, [0, -1]])
    display.ax_.set_ylim(display.yy[[0, -1], 0])


def green_boundary(display):
    """Draw the boundary over the grey one, as in the paper."""
    style = {"levels": [0.5], "colors": GREEN, "linewidths": 2.5}
    display.ax_.contour(display.xx, display.yy, display.response[..., 1], **style)


def shared_legend(figure):
    """One legend under the whole figure, of what is in any of its panels."""
    pairs = [ax.get_legend_handles_labels() for ax in figure.axes]
    known = {text: mark for pair in pairs for mark, text in zip(*pair, strict=True)}
    place = {"loc": "outside lower center", "ncols": len(known), "frameon": False}
    figure.legend(known.values(), known.keys(), **place)
