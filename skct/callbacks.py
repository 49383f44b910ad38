"""`TrainingCheckpoint`: training that goes on after a kill as if undisturbed."""

import contextlib
import glob
import json
import os
from typing import Any

import torch
from skorch import NeuralNet
from skorch.callbacks import Callback
from skorch.history import History
from torch import Tensor

from .exceptions import CheckpointWarning
from .persistence import archive
from .persistence.codec import decode, encode, load_weights
from .training.progress import FitProgress
from .utils.caller import warn
from .utils.validation import check_integer

__all__ = ["TrainingCheckpoint"]


KIND = "skct checkpoint"
NOT_COMPARED = ("callbacks", "verbose", "_params_to_validate")
# What skorch's EarlyStopping, LRScheduler and scoring callbacks carry through training.
MEMORY = (
    *("misses_", "dynamic_threshold_", "best_epoch_", "best_model_weights_"),
    *("best_score_", "batch_idx_"),
)


class TrainingCheckpoint(Callback):
    """Write the state of training to one file, and go on from it in the next fit.

    A fit that was killed and is run again with the same data and parameters goes on
    from the last epoch in the file, and ends with the same weights, bit for bit, as
    one that was never disturbed. If it was finished, it is not trained again. Delete
    the file, or give another path, to train afresh.

    The file holds weights, optimiser, history and random state, in the safetensors
    format, without pickle. It is replaced at once: a kill while it is written leaves
    the one of the epoch before.

    Parameters
    ----------
    path : str or path-like
        One file for one run: not for use inside cross-validation or a search.
    every : int, default=1
        Epochs from one checkpoint to the next; as many are lost at worst.

    Raises
    ------
    ValueError
        In `fit`, if the file belongs to other data, parameters or start weights, is
        damaged, or is no checkpoint; or for a parameter out of range.
    OSError
        In `fit`, if the first checkpoint cannot be written.

    Warns
    -----
    CheckpointWarning
        If a later checkpoint cannot be written, the disk being full say: training goes
        on, and the file keeps the last one.

    Notes
    -----
    The `random_state` of the classifier has to be an integer, otherwise the second run
    starts from other weights and is refused. The state of skorch's `EarlyStopping` and
    `LRScheduler` is part of the checkpoint; other callbacks start again with what the
    history tells them. A run that was stopped early repeats its last epoch. A
    `train_split` that shuffles needs a `random_state` of its own. Losses of single
    batches (`batches` in the history) are not kept. `skorch.callbacks.Checkpoint` does
    not do this: it writes several files one after another, without the random state.

    Data are compared if they are arrays or tensors, else by their length.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn.datasets import load_iris
    >>> from skct import CounterfactualTrainingClassifier
    >>> from skct.callbacks import TrainingCheckpoint
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = CounterfactualTrainingClassifier(random_state=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     checkpoint = TrainingCheckpoint(Path(folder) / "run.ckpt")
    ...     clf = clf.set_params(net__max_epochs=30, net__lr=0.01,
    ...         net__callbacks=[("checkpoint", checkpoint)])
    ...     clf.fit(X, y).n_iter_  # killed? just run it again
    30
    """

    saved_: dict[str, Any] | None  # until the first epoch puts it back
    n_done_: int | None  # epochs in the history when the last one ended

    def __init__(self, path: str | os.PathLike, every: int = 1):
        self.path = path
        self.every = every

    def on_train_begin(
        self, net: NeuralNet, X: Any = None, y: Any = None, **kwargs: Any
    ) -> None:
        """Read the checkpoint, if there is one, and compare it with this run."""
        check_integer(self, "every", low=1)
        to_go = getattr(net, "epochs_to_go_", net.max_epochs)
        self.total_ = len(net.history) + to_go
        self.run_ = run_of(net, X, y)
        self.saved_, self.n_done_ = None, None
        self.is_written_, self.is_failing_ = False, False
        if os.path.exists(self.path):
            self.saved_ = read_state(self.path, self.run_)
            if hasattr(net, "epochs_to_go_"):  # for the progress bar
                net.epochs_to_go_ = max(self.total_ - len(self.saved_["history"]), 0)
        remove_litter(self.path)

    def on_epoch_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        """Go on from the checkpoint, or write that of the epoch before."""
        # Not in `on_train_begin`: there other callbacks start afresh, in an order that
        # the user decides, and some would forget what was put back.
        # Here all callbacks are through with that epoch, whatever their order.
        if self.saved_ is not None:
            with archive.refusing(self.path):
                put_back(net, self.saved_)
            self.saved_ = None
            # skorch had opened this epoch in the history that was replaced.
            net.history.new_epoch()
            net.history.record("epoch", len(net.history))
        # A finished run is run again: there is nothing left to train.
        if len(net.history) > self.total_:
            net.history.pop()
            raise KeyboardInterrupt  # skorch's way to stop
        finished = net.history[:-1]
        if len(finished) % self.every == 0 or not self.is_written_:
            self._write(net, finished)

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """Note that an epoch is finished."""
        self.n_done_ = len(net.history)

    def on_train_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """Write the last state, unless training was interrupted."""
        if self.n_done_ == len(net.history) == self.total_:
            self._write(net, net.history)

    def _write(self, net: NeuralNet, history: Any) -> None:
        """Write the state; a failure stops training only before it has begun."""
        tensors: dict[str, Tensor] = {}
        document = encode(state_of(net, history, self.run_), "", tensors)
        try:
            archive.write(self.path, KIND, document, tensors)
        except OSError as error:
            if not self.is_written_:
                raise
            if not self.is_failing_:
                warn_unwritten(self.path, len(history), error)
            self.is_failing_ = True
        else:
            self.is_written_, self.is_failing_ = True, False


# ----------------------------------------------------------------------------- state


def state_of(net: NeuralNet, history: Any, run: dict[str, Any]) -> dict[str, Any]:
    """All that the next epoch depends on."""
    return {
        "run": run,
        "history": [{**epoch, "batches": []} for epoch in history],
        "weights": weights_of(net),
        "optimizers": {
            name: getattr(net, f"{name}_").state_dict() for name in net._optimizers
        },
        "random": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "callbacks": {name: memory_of(part) for name, part in net.callbacks_},
    }


def put_back(net: NeuralNet, state: dict[str, Any]) -> None:
    """Bring a net into a state that `state_of` has described."""
    # Into the objects that are there: optimiser and callbacks hold references to them.
    for name, weights in state["weights"].items():
        load_weights(getattr(net, f"{name}_"), weights)
    for name in net._optimizers:
        getattr(net, f"{name}_").load_state_dict(state["optimizers"][name])
    for name, part in net.callbacks_:
        memory = dict(state["callbacks"].get(name, {}))
        # A scheduler holds the optimiser of its own run: its state is moved, not
        # itself.
        scheduler = memory.pop("lr_scheduler_", None)
        if scheduler is not None:
            part.lr_scheduler_.load_state_dict(scheduler)
        vars(part).update({key: memory[key] for key in MEMORY if key in memory})
    net.history_ = History(state["history"])
    # Last, so that nothing on the way draws from the stream that goes on now.
    torch.set_rng_state(state["random"])
    if state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"])


def weights_of(net: NeuralNet) -> dict[str, dict[str, Tensor]]:
    """Weights of the modules and criteria."""
    names = (*net._modules, *net._criteria)
    return {name: dict(getattr(net, f"{name}_").state_dict()) for name in names}


def memory_of(callback: Callback) -> dict[str, Any]:
    """What a callback carries from epoch to epoch."""
    memory = {key: vars(callback)[key] for key in MEMORY if key in vars(callback)}
    scheduler = getattr(callback, "lr_scheduler_", None)
    if scheduler is not None:
        memory["lr_scheduler_"] = scheduler.state_dict()
    return memory


# ------------------------------------------------------------------------- which run


def run_of(net: NeuralNet, X: Any, y: Any) -> dict[str, Any]:
    """What two runs must have in common, each part as a hash or a name."""
    # With the data and the parameters, training is a function of these.
    start = weights_of(net), len(net.history), torch.get_rng_state()
    params = net.get_params(deep=False).items()
    others = {
        f"callbacks__{name}": describe(part)
        for name, part in net.callbacks_
        if not isinstance(part, (TrainingCheckpoint, FitProgress))
    }
    return {
        "data": [describe(X), describe(y)],
        "parameters": others
        | {
            name: describe(value)
            for name, value in params
            if name.split("__")[0] not in NOT_COMPARED
        },
        "initial weights or random_state (which has to be an integer)": describe(start),
    }


def describe(value: Any) -> Any:
    """Hash of a value, or its type and parameters where it cannot be written."""
    tensors: dict[str, Tensor] = {}
    try:
        text = json.dumps(encode(value, "", tensors))
        return archive.checksum(text, tensors)
    except ValueError:
        pass
    owner = value if hasattr(value, "__qualname__") else type(value)
    name = f"{owner.__module__}.{owner.__qualname__}"
    if owner is value:  # a class or a function
        return name
    if hasattr(value, "get_params"):
        params = value.get_params(deep=False)
        return [name, {key: describe(part) for key, part in params.items()}]
    return [name, len(value) if hasattr(value, "__len__") else None]


def read_state(path: str | os.PathLike, run: dict[str, Any]) -> dict[str, Any]:
    """State in a file, if it is one of this run."""
    document, tensors = archive.read(path, KIND)
    with archive.refusing(path):
        state = decode(document, tensors)
        others = differences(state["run"], run)
        if others:
            raise ValueError(
                f"it belongs to another run, with other {'; other '.join(others)}. "
                "Give another path, or delete the file to train afresh"
            )
    return state


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Names of the parts in which two runs differ."""
    names = [name for name in new if new[name] != old[name]]
    if "parameters" in names:
        mine, theirs = new["parameters"], old["parameters"]
        wrong = [n for n in {**mine, **theirs} if mine.get(n) != theirs.get(n)]
        names[names.index("parameters")] = f"parameters ({', '.join(wrong)})"
    return names


def warn_unwritten(path: str | os.PathLike, epoch: int, error: OSError) -> None:
    """Warn, once until it works again, that a checkpoint is missing."""
    warn(
        f"The checkpoint after epoch {epoch} could not be written ({error}). Training "
        f"goes on, and {os.fspath(path)!r} keeps the last one that could.",
        CheckpointWarning,
    )


def remove_litter(path: str | os.PathLike) -> None:
    """Remove what a kill in the middle of writing has left."""
    target = os.path.realpath(path)
    for old in glob.glob(archive.temporary_name(glob.escape(target), "*")):
        with contextlib.suppress(OSError):
            os.unlink(old)
