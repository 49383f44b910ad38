import multiprocessing
import resource
import time

import numpy as np
import pytest
import torch
from conftest import people, quick
from skorch.callbacks import Callback, EarlyStopping, LRScheduler
from training_run import train

from skct import CounterfactualNet, REVISEGenerator
from skct.callbacks import KIND, TrainingCheckpoint
from skct.exceptions import CheckpointWarning
from skct.persistence import archive
from skct.training.progress import FitProgress

TIMES = ["dur", "search_seconds", "update_seconds"]


class StopTraining(Exception):
    """Stands for a kill."""


class At(Callback):
    """Do something in the middle of an epoch."""

    def __init__(self, epoch, action):
        self.epoch = epoch
        self.action = action

    def on_batch_end(self, net, **kwargs):
        if len(net.history) == self.epoch and len(net.history[-1, "batches"]) == 2:
            self.action()


def interrupt():
    raise KeyboardInterrupt


def make(path=None, *, extra=(), last=(), epochs=8, every=1, **params):
    """A classifier that writes checkpoints if a path is given."""
    callbacks = [*extra]
    if path:
        callbacks.append(("checkpoint", TrainingCheckpoint(path, every=every)))
    clf = quick(epochs, **params)
    return clf.set_params(net__callbacks=[*callbacks, *last])


def weights(clf):
    return torch.cat([p.detach().flatten() for p in clf.module_.parameters()])


def assert_same(clf, expected):
    assert torch.equal(weights(clf), weights(expected))
    one, two = (c.history_.drop(columns=TIMES) for c in (clf, expected))
    assert one.equals(two)


def epochs_in(path):
    document, _ = archive.read(path, KIND)
    return len(dict(document["items"])["history"])


@pytest.fixture(scope="module")
def data():
    return people(120)


def cosine():
    return ("lr", LRScheduler("CosineAnnealingLR", T_max=8))


def plateau():
    params = {"monitor": "train_loss", "patience": 1, "threshold": 0.9}  # each is bad
    return ("lr", LRScheduler("ReduceLROnPlateau", **params))


def early():
    return ("early", EarlyStopping("train_loss", patience=2, threshold=0.1))


@pytest.mark.parametrize("order", ["checkpoint first", "checkpoint last"])
@pytest.mark.parametrize("other", [cosine, plateau, early])
def test_a_stopped_run_goes_on_to_the_same_weights(order, other, data, tmp_path):
    params = {"burn_in": 0.2, "generator": REVISEGenerator(n_epochs=1, max_iter=3)}
    path = tmp_path / "run.ckpt"

    def build(path, last=()):
        extra = [other()] if other else []
        if order == "checkpoint first":
            return make(path, last=[*extra, *last], **params)
        return make(path, extra=extra, last=last, **params)

    expected = build(None).fit(*data)
    with pytest.raises(StopTraining):
        build(path, last=[("kill", Killer(4))]).fit(*data)
    assert epochs_in(path) == 3
    assert_same(build(path, last=[("kill", Killer(4))]).fit(*data), expected)
    assert_same(build(path, last=[("kill", Killer(4))]).fit(*data), expected)


class Killer(Callback):
    """Stops the first run that comes to an epoch; the same parameter in every run."""

    killed = set()  # noqa: RUF012

    def __init__(self, epoch):
        self.epoch = epoch

    def on_train_begin(self, net, **kwargs):
        self.armed_ = not self.killed

    def on_batch_end(self, net, **kwargs):
        if self.armed_ and len(net.history) == self.epoch:
            self.killed.add(self.epoch)
            raise StopTraining


@pytest.fixture(autouse=True)
def _armed():
    Killer.killed.clear()


class Noisy(torch.nn.Sequential):
    """Dropout: training draws from torch's global stream in every step."""

    def __init__(self, n_features_in, n_classes):
        super().__init__(
            torch.nn.Dropout(0.3),
            torch.nn.Linear(n_features_in, 8),
            torch.nn.BatchNorm1d(8),
            torch.nn.Linear(8, n_classes),
        )


@pytest.mark.parametrize("every", [1, 3])
def test_dropout_and_batch_norm_go_on_in_the_same_stream(every, data, tmp_path):
    path = tmp_path / "run.ckpt"
    last = [("kill", Killer(6))]

    def build(path, last=()):
        return make(path, last=last, every=every).set_params(net__module=Noisy)

    expected = build(None).fit(*data)
    with pytest.raises(StopTraining):
        build(path, last).fit(*data)
    assert epochs_in(path) == 5 // every * every
    assert_same(build(path, last).fit(*data), expected)


def test_a_finished_run_is_not_trained_again(data, tmp_path):
    path = tmp_path / "run.ckpt"
    expected = make(path).fit(*data)
    before = path.read_bytes()
    clf = make(path, last=[("bar", FitProgress())]).fit(*data)
    assert_same(clf, expected)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    assert (clf.predict_proba(data[0]) == expected.predict_proba(data[0])).all()


def test_an_interrupt_leaves_a_usable_net_and_the_last_whole_epoch(data, tmp_path):
    path = tmp_path / "run.ckpt"
    clf = make(path, last=[("stop", At(4, interrupt))]).fit(*data)
    assert clf.predict(data[0]).shape == (120,)
    assert epochs_in(path) == 3


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"net__lr": 0.01}, r"other parameters \(lr\)"),
        ({"net__max_epochs": 9}, r"other parameters \(max_epochs\)"),
        ({"lambda_div": 0.7, "burn_in": 0.3}, r"\(lambda_div, burn_in\)"),
        ({"objective__epsilon": 0.3}, r"other parameters \(objective\)"),
        ({"generator__max_iter": 9}, r"other parameters \(generator\)"),
        ({"mutability": {"age": "none"}}, r"other parameters \(constraints\)"),
        ({"random_state": 1}, "initial weights or random_state"),
        ({"random_state": None}, "has to be an integer"),
    ],
)
def test_a_checkpoint_of_other_parameters_is_refused(params, match, data, tmp_path):
    path = tmp_path / "run.ckpt"
    make(path, epochs=1).fit(*data)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=match):
        make(path, epochs=1).set_params(**params).fit(*data)
    assert path.read_bytes() == before


def test_a_checkpoint_of_other_data_is_refused(data, tmp_path):
    X, y = data
    make(tmp_path / "run.ckpt", epochs=1).fit(X, y)
    for table, labels in ((X[:-1], y[:-1]), (X, np.roll(y, 1))):
        with pytest.raises(ValueError, match="belongs to another run, with other data"):
            make(tmp_path / "run.ckpt", epochs=1).fit(table, labels)


def test_what_is_no_checkpoint_is_refused(data, tmp_path):
    path = tmp_path / "run.ckpt"
    clf = make(path, epochs=1).fit(*data)
    damaged = bytearray(path.read_bytes())
    damaged[-9] ^= 4
    clf.set_params(net__callbacks=None).save(tmp_path / "clf")
    for data_of in (b"", bytes(damaged), (tmp_path / "clf").read_bytes()):
        path.write_bytes(data_of)
        with pytest.raises(ValueError, match="Cannot load"):
            make(path, epochs=1).fit(*data)
    with pytest.raises(ValueError, match="it is not a skct classifier"):
        make(tmp_path / "x", epochs=1).fit(*data).load(tmp_path / "x")
    with pytest.raises(ValueError, match="'every' parameter of TrainingCheckpoint"):
        make(path, every=0).fit(*data)


def test_a_path_that_cannot_be_written_stops_before_training(data, tmp_path):
    clf = make(tmp_path / "nowhere" / "run.ckpt")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        clf.fit(*data)
    assert not hasattr(clf, "net_")


class Fill(Callback):
    """From some epoch on the disk is full."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == self.epoch:
            hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
            resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))


def test_on_a_full_disk_training_goes_on_with_a_warning(data, tmp_path):
    path, before = tmp_path / "run.ckpt", resource.getrlimit(resource.RLIMIT_FSIZE)
    clf = make(path, last=[("fill", Fill(3))], epochs=5)
    try:
        with pytest.warns(CheckpointWarning, match="after epoch 3 could not be"):
            clf.fit(*data)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert clf.n_iter_ == 5
    assert epochs_in(path) == 2
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_kill_left_half_written_is_removed(data, tmp_path):
    path = tmp_path / "run.ckpt"
    (tmp_path / ".run.ckpt.0a1b2c3d.tmp").write_bytes(b"half")
    make(path, epochs=1).fit(*data)
    assert list(tmp_path.iterdir()) == [path]


def test_a_net_without_the_classifier_goes_on_too(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3)).astype("float32")
    y = (X[:, 0] > 0).astype(np.int64)

    def fit(path, last=()):
        torch.manual_seed(0)
        callbacks = [("checkpoint", TrainingCheckpoint(path))] if path else []
        net = CounterfactualNet(
            max_epochs=6, batch_size=16, callbacks=[*callbacks, *last]
        )
        return net.fit(X, y)

    expected = fit(None)
    with pytest.raises(StopTraining):
        fit(tmp_path / "c", [("kill", Killer(4))])
    net = fit(tmp_path / "c", [("kill", Killer(4))])
    assert len(net.history) == 6
    for one, two in zip(
        net.module_.parameters(), expected.module_.parameters(), strict=True
    ):
        assert torch.equal(one, two)


def test_the_bar_of_a_fit_knows_its_end(data):
    totals = []

    class Look(Callback):
        def on_epoch_begin(self, net, **kwargs):
            (bar,) = [c for _, c in net.callbacks_ if isinstance(c, FitProgress)]
            totals.append(bar.bar_.total)

    make(last=[("look", Look())], epochs=2, verbose=1).fit(*data)
    assert totals == [2, 2]


# ------------------------------------------------------------------------- real kills


def logged(folder):
    path = folder / "log"
    lines = path.read_text().splitlines() if path.exists() else []
    return max(map(int, lines), default=0)


def lives(folder, epochs, kills, seed):
    """Kill a run at random points; the most epochs lost, and the kills that struck."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["skct.callbacks", "sklearn.datasets"])
    rng, most, struck = np.random.default_rng(seed), 0, 0
    for target in sorted(rng.choice(epochs - 1, kills, replace=False)):
        process = context.Process(target=train, args=(folder, epochs))
        process.start()
        while process.is_alive() and logged(folder) <= target:
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.03))
        process.kill()
        process.join()
        struck += process.exitcode < 0
        most = max(most, logged(folder) - epochs_in(folder / "run.ckpt"))
    process = context.Process(target=train, args=(folder, epochs))
    process.start()
    process.join()
    assert process.exitcode == 0
    return most, struck


@pytest.mark.parametrize(
    ("epochs", "kills"),
    [(12, 2), pytest.param(100, 20, marks=pytest.mark.slow)],
)
def test_a_run_that_is_killed_ends_with_the_same_weights(epochs, kills, tmp_path):
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    train(tmp_path / "whole", epochs, checkpoint=False)
    most, struck = lives(tmp_path / "killed", epochs, kills, seed=0)
    print(f"{struck} of {kills} kills struck, at most {most} epochs lost")
    assert struck >= kills - 1
    assert most <= 1
    one, two = (np.load(tmp_path / n / "weights.npy") for n in ("whole", "killed"))
    assert np.array_equal(one, two)
    assert sorted(p.name for p in (tmp_path / "killed").iterdir()) == [
        *("log", "run.ckpt", "weights.npy")
    ]
