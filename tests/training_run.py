"""A training run in a process of its own; imports little, so that it starts fast."""

import numpy as np
import torch
from sklearn.datasets import load_iris
from skorch.callbacks import Callback

from skct import CounterfactualNet, CounterfactualTrainingClassifier
from skct.callbacks import TrainingCheckpoint


class Log(Callback):
    """Note every finished epoch outside of the process."""

    def __init__(self, path):
        self.path = path

    def on_epoch_end(self, net, **kwargs):
        with open(self.path, "a") as file:
            file.write(f"{len(net.history)}\n")


def train(folder, epochs, checkpoint=True):
    """One life of the run; leaves its weights if it comes to the end."""
    torch.set_num_threads(1)
    callbacks = [("log", Log(f"{folder}/log"))]
    if checkpoint:
        callbacks.append(("checkpoint", TrainingCheckpoint(f"{folder}/run.ckpt")))
    net = CounterfactualNet(
        max_epochs=epochs, lr=0.02, batch_size=32, callbacks=callbacks
    )
    clf = CounterfactualTrainingClassifier(net, random_state=0)
    clf.fit(*load_iris(return_X_y=True))
    weights = [p.detach().flatten() for p in clf.module_.parameters()]
    np.save(f"{folder}/weights.npy", torch.cat(weights).numpy())
