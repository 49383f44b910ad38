"""`FitProgress`: one bar per fit."""

from typing import Any

from skorch import NeuralNet
from skorch.callbacks import Callback
from tqdm.auto import tqdm

__all__ = ["FitProgress"]


SHOWN = ("train_loss", "divergence", "adversarial", "mature")


class FitProgress(Callback):
    """Progress bar over epochs with loss terms and share of mature counterfactuals."""

    def on_train_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        """Open the bar."""
        total = getattr(net, "epochs_to_go_", net.max_epochs)
        self.bar_ = tqdm(total=total, desc="Training", unit="epoch")

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """Move on by one epoch."""
        epoch = net.history[-1]
        names = (*SHOWN[:-1], net.objective_.regulariser, SHOWN[-1])
        shown = {name: epoch[name] for name in names if name in epoch}
        self.bar_.set_postfix(shown, refresh=False)
        self.bar_.update()

    def on_train_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """Close the bar."""
        self.bar_.close()
        del self.bar_
