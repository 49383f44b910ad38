"""
Counterfactual training on several processes
============================================

    torchrun --standalone --nproc_per_node 2 examples/distributed/train.py

Every process runs this script on the same data; the net shares out the search of
counterfactuals and the batches. On several machines leave out ``--standalone`` and name
one of them: ``--nnodes 2 --rdzv_backend c10d --rdzv_endpoint host:29500``.
"""

import numpy as np
import torch.distributed as dist
from sklearn.datasets import load_diabetes

from skct import CounterfactualTrainingClassifier
from skct.distributed import DistributedCounterfactualNet


def main():
    dist.init_process_group("gloo")  # "nccl" on CUDA, with a device of its own each
    X, progression = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
    y = np.where(progression > progression.median(), "fast", "slow")
    clf = CounterfactualTrainingClassifier(
        DistributedCounterfactualNet(max_epochs=30, lr=0.01),
        mutability={"age": "none", "sex": "none"},
        random_state=0,  # the same in every process
    )
    clf.fit(X, y)
    if dist.get_rank() == 0:  # all have the same weights: one explains, or saves
        print(f"accuracy {clf.score(X, y):.3f} on {dist.get_world_size()} processes")
        print(clf.explain(X[clf.predict(X) == "fast"][:5], target="slow"))
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
