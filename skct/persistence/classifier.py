"""A fitted classifier as one file without pickle, and back."""

import os
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import pandas as pd
import torch
from skorch import NeuralNetClassifier
from skorch.history import History
from skorch.utils import get_map_location
from torch import Tensor

from ..constraints import Constraints
from ..encoding.frames import Table
from ..encoding.reference import ColumnSummary, summarise
from ..encoding.schema import Lattice, TableSchema
from ..encoding.space import FeatureSpace
from ..exceptions import ReferenceWarning
from ..generators.registry import make_generator
from ..preprocessing import TableEncoder
from ..training.checks import check_net, sizes_wanted
from ..training.history import trained
from ..training.mlp import MLP
from ..training.net import CounterfactualNet, check_logits
from ..training.objectives import make_objective, objective_of
from ..training.progress import FitProgress
from ..utils.caller import warn
from ..utils.random import seeded
from . import archive
from .codec import decode, encode, load_weights, unsaved

__all__ = ["load_classifier", "save_classifier"]


KIND = "skct classifier"
NETS = {cls.__name__: cls for cls in (CounterfactualNet, NeuralNetClassifier)}
# What the classifier sets on its net, and what is no parameter of a constructor.
LEFT_OUT = ("module", "callbacks", "generator", "constraints", "_params_to_validate")
FITTED = "classes_", "seed_", "best_epoch_", "n_features_in_", "feature_names_in_"
# Types that the row of medians keeps; any other becomes float64 or object.
DTYPES = {
    str(dtype): dtype
    for dtype in map(
        pd.api.types.pandas_dtype,
        (
            *("bool", "object", "float16", "float32", "float64", "boolean", "string"),
            *(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)),
            *(f"{kind}{bits}" for kind in ("Int", "UInt") for bits in (8, 16, 32, 64)),
            *("Float32", "Float64"),
        ),
    )
}


# ---------------------------------------------------------------------------- saving


def save_classifier(
    classifier: Any,
    path: str | os.PathLike,
    *,
    include_optimizer: bool,
    include_reference: bool,
) -> None:
    """Write a fitted classifier; see `PersistenceMixin.save`."""
    generator = classifier.generator_
    if generator.holds_training_rows and not include_reference:
        raise ValueError(
            f"{type(generator).__name__} explains by training rows, which the file has "
            "to hold: leave include_reference at True."
        )
    tensors: dict[str, Tensor] = {}
    state = fitted_state(classifier)
    reference, space = classifier.reference_, classifier.feature_space_
    state["reference"] = reference if include_reference else summarise(reference, space)
    if include_optimizer:
        state["optimizer"] = dict(classifier.net_.optimizer_.state_dict())
    document = {
        "parameters": encode_parameters(classifier, tensors),
        "net_": encode_net(classifier.net_, "net_", tensors),
        "state": {
            name: encode(value, name, tensors) for name, value in sorted(state.items())
        },
    }
    archive.write(path, KIND, document, tensors)


def encode_parameters(classifier: Any, tensors: dict[str, Tensor]) -> dict[str, Any]:
    """Constructor parameters; a transformer of the user's own is only noted."""
    encoded = {}
    for name, value in classifier.get_params(deep=False).items():
        if name == "net":
            encoded[name] = None if value is None else encode_net(value, name, tensors)
            check_callbacks(value)
        elif name == "preprocessor" and value is not None and value != "auto":
            encoded[name] = {"type": "given"}
        else:
            encoded[name] = encode(value, name, tensors)
    return encoded


def check_callbacks(net: NeuralNetClassifier | None) -> None:
    """Callbacks are objects of any kind; prediction does without."""
    callbacks = getattr(net, "callbacks", None)
    if callbacks and callbacks != "disable":
        raise ValueError(
            f"Callbacks cannot be saved without pickle: {callbacks!r:.200}. They only "
            "matter in training: call set_params(net__callbacks=None) before save, or "
            "use pickle or joblib."
        )


def encode_net(
    net: NeuralNetClassifier, path: str, tensors: dict[str, Tensor]
) -> dict[str, Any]:
    """Class and parameters of a net; a module of the user's own is only noted."""
    # A subclass is code of the user's, and code is what a file must not bring along.
    if type(net) not in NETS.values():
        raise unsaved(net, path)
    params = net.get_params(deep=False)
    if params["compile"]:
        raise ValueError(
            f"'{path}__compile' is True, and a compiled module cannot be saved: use "
            "compile=False, or save the weights with torch."
        )
    return {
        "class": type(net).__name__,
        "module": "MLP" if params["module"] is MLP else "given",
        "parameters": {
            name: encode(value, f"{path}__{name}", tensors)
            for name, value in sorted(params.items())
            if name not in LEFT_OUT
        },
    }


def fitted_state(classifier: Any) -> dict[str, Any]:
    """What `fit` has learnt, but for reference rows and optimiser."""
    net, space = classifier.net_, classifier.feature_space_
    own = isinstance(classifier.preprocessor_, TableEncoder | None)
    return {
        "module": dict(net.module_.state_dict()),
        "criterion": dict(net.criterion_.state_dict()),
        "history": [{**epoch, "batches": []} for epoch in net.history],
        "generator": classifier.generator_,
        "generator_classes": getattr(net, "generator_classes_", set()),
        "preprocessor": classifier.preprocessor_ if own else "given",
        "space": describe_schema(space.schema),
        "template": describe_template(space.schema.template),
        # `load` encodes the template again: is that the same transformer?
        "probe": space.encode(space.schema.template),
        "rules": classifier.rules_,
        "fitted": {
            name: vars(classifier)[name] for name in FITTED if name in vars(classifier)
        },
    }


def describe_schema(schema: TableSchema) -> dict[str, Any]:
    """What is known of the table, but for the template, by the keys of a file.

    The keys and types are those of the first files, so that both old and new versions
    read all files.
    """
    lattice = schema.lattice
    return {
        "raw_shape": schema.raw_shape,
        "input_shape": schema.input_shape,
        "feature_names": schema.feature_names,
        "encoded_names": schema.encoded_names,
        "owner": schema.owner,
        "columns": list(schema.columns),
        "binary": list(schema.binary),
        "observed": schema.observed,
        "sign": lattice.sign,
        "_step": lattice.step,
        "_origin": lattice.origin,
        "_bent": set(lattice.nonlinear_columns),
        "groups": schema.groups,
    }


def describe_template(template: Table) -> Any:
    """The row of medians and first categories that stands for a table."""
    if isinstance(template, np.ndarray):
        return template
    return [
        (template_type(column.dtype), na_to_none(column.iloc[0]))
        for _, column in template.items()
    ]


def template_type(dtype: Any) -> str:
    """Name of the type that a column of the template gets."""
    if str(dtype) in DTYPES:
        return str(dtype)
    return "float64" if pd.api.types.is_numeric_dtype(dtype) else "object"


def na_to_none(value: Any) -> Any:
    """Missing values as None."""
    return None if value is pd.NA or value != value else value


# --------------------------------------------------------------------------- loading


def load_classifier(
    cls: type,
    path: str | os.PathLike,
    *,
    module: Any,
    preprocessor: Any,
    check: Callable[[Any], None],
) -> Any:
    """Read a classifier; see `PersistenceMixin.load`. `check` checks its parameters."""
    document, tensors = archive.read(path, KIND)
    with archive.refusing(path):
        check_given(document, module, preprocessor)
        return restore(cls, document, tensors, module, preprocessor, check)


def check_given(document: Any, module: Any, preprocessor: Any) -> None:
    """Ask for the parts that the file does not hold, and for no others."""
    for name, value, is_given in (
        ("module", module, document["net_"]["module"] == "given"),
        ("preprocessor", preprocessor, document["state"]["preprocessor"] == "given"),
    ):
        if is_given and value is None:
            what = "class or instance" if name == "module" else "fitted transformer"
            raise ValueError(
                f"it was saved with a {name} that is not part of skct; pass the {what} "
                f"as load(path, {name}=...)"
            )
        if not is_given and value is not None:
            raise ValueError(f"it holds its {name}; leave {name}= out")


def restore(
    cls: type,
    document: Any,
    tensors: dict[str, Tensor],
    module: Any,
    preprocessor: Any,
    check: Callable[[Any], None],
) -> Any:
    """Build the classifier anew."""
    state = {k: decode(v, tensors) for k, v in document["state"].items()}
    if not set(state["fitted"]) <= set(FITTED):
        raise ValueError("it holds attributes that save does not write")
    classifier = cls(
        **decode_parameters(document["parameters"], tensors, module, preprocessor)
    )
    # As strict as with a user's parameters: a file may have been edited.
    check(classifier)
    net = decode_net(document["net_"], tensors, module)
    # Each tensor leaves the dict when it is used. What is left, `save` has not written.
    if tensors:
        raise ValueError(f"it holds tensors that nothing asks for: {[*tensors][:5]}")
    space = restore_space(state, preprocessor)
    constraints = space.constraints(state["rules"])
    warn_about_reference(classifier, state)
    restore_net(net, classifier, state, space, constraints)
    vars(classifier).update(
        state["fitted"],
        preprocessor_=space.transformer,
        feature_space_=space,
        constraints_=constraints,
        net_=net,
        rules_=state["rules"],
        reference_=state.get("reference"),
        **trained(net),
    )
    return classifier


def warn_about_reference(classifier: Any, state: dict[str, Any]) -> None:
    """Say how explanations differ from those of the classifier that was saved."""
    remedy = "For the same, make a CounterfactualExplainer and fit it to training rows."
    if isinstance(state.get("reference"), ColumnSummary):
        warn(
            "The file holds a summary in place of reference rows: counterfactuals are "
            "the same, except for rows that no search brings to their target, which "
            f"would take over values of a reference row. {remedy}",
            ReferenceWarning,
        )
    if "reference" not in state and classifier.n_reference:
        warn(
            "The file, of an earlier version, holds no reference rows: counterfactuals "
            "are not drawn towards observed rows, and `implausibility` is None. "
            f"{remedy}",
            ReferenceWarning,
        )


def decode_parameters(
    encoded: Any, tensors: dict[str, Tensor], module: Any, preprocessor: Any
) -> dict[str, Any]:
    """Constructor parameters."""
    params = {}
    for name, value in encoded.items():
        if name == "net" and value is not None:
            params[name] = decode_net(value, tensors, module)
        elif value == {"type": "given"}:
            params[name] = preprocessor
        else:
            params[name] = decode(value, tensors)
    return with_own_settings(params)


def with_own_settings(params: dict[str, Any]) -> dict[str, Any]:
    """Parameters of files from before objectives had settings of their own."""
    if "epsilon" in params:
        epsilon = params.pop("epsilon")
        params["objective"] = make_objective(params["objective"], epsilon=epsilon)
    return params


def decode_net(
    encoded: Any, tensors: dict[str, Tensor], module: Any
) -> NeuralNetClassifier:
    """Net with its parameters, not initialised."""
    given = encoded["module"] == "given"
    params = {k: decode(v, tensors) for k, v in encoded["parameters"].items()}
    params = with_own_settings(params)
    if params["compile"] is not False or "module" in params or "callbacks" in params:
        raise ValueError("it asks for a net that save does not write")
    if params["device"] is not None:
        there = get_map_location(params["device"])  # the CPU where there is no GPU
        if there != torch.device(params["device"]):
            params["device"] = str(there)
    return NETS[encoded["class"]](deepcopy(module) if given else MLP, **params)


def restore_space(state: dict[str, Any], preprocessor: Any) -> FeatureSpace:
    """The map between table and model input; checked on the row of medians."""
    given = isinstance(state["preprocessor"], str)
    transformer = preprocessor if given else state["preprocessor"]
    schema = restore_schema(state["space"], state["template"])
    space = FeatureSpace.from_schema(transformer, schema)
    encoded = space.encode(schema.template)
    if encoded.shape != state["probe"].shape or not np.allclose(
        encoded, state["probe"], rtol=1e-5, atol=1e-6
    ):
        raise ValueError(
            "the preprocessor encodes otherwise than the one that was saved"
            if given
            else "its preprocessing contradicts itself"
        )
    return space


def restore_schema(described: dict[str, Any], template: Any) -> TableSchema:
    """Inverse of `describe_schema` and `describe_template`."""
    return TableSchema(
        raw_shape=described["raw_shape"],
        input_shape=described["input_shape"],
        feature_names=described["feature_names"],
        encoded_names=described["encoded_names"],
        owner=described["owner"],
        columns=tuple(described["columns"]),
        observed=described["observed"],
        template=restore_template(template, described["feature_names"]),
        lattice=Lattice(
            described["sign"],
            described["_step"],
            described["_origin"],
            frozenset(described["_bent"]),
        ),
        binary=tuple(described["binary"]),
        groups=described["groups"],
    )


def restore_template(described: Any, names: Sequence) -> Table:
    """One row with the types of the training table."""
    if isinstance(described, np.ndarray):
        return described
    columns = [pd.Series([value], dtype=DTYPES[dtype]) for dtype, value in described]
    template = pd.DataFrame(dict(enumerate(columns)))
    # Names that are tuples stay names, and make no MultiIndex.
    template.columns = pd.Index(names, tupleize_cols=False)
    return template


def restore_net(
    net: NeuralNetClassifier,
    classifier: Any,
    state: dict[str, Any],
    space: FeatureSpace,
    constraints: Constraints,
) -> None:
    """Initialise a net and give it what it had learnt."""
    check_sizes(net, space.input_shape, len(state["fitted"]["classes_"]), state)
    generator = state["generator"]
    callbacks = getattr(classifier.net, "callbacks", None)
    if classifier.verbose and callbacks != "disable":
        callbacks = [*(callbacks or []), FitProgress()]
    net.set_params(
        callbacks=callbacks,
        generator=make_generator(classifier.generator),
        constraints=constraints,
    )
    check_net(net)
    # The first weights are overwritten at once; drawing them must neither depend on the
    # global random state nor move it on.
    with seeded(0):
        net.initialize()
    load_weights(net.module_, state["module"])
    net.criterion_.load_state_dict(state["criterion"])
    if "optimizer" in state:
        net.optimizer_.load_state_dict(state["optimizer"])
    net.history_ = History(state["history"])
    net.seed_ = state["fitted"]["seed_"]
    net.objective_ = objective_of(net)
    net.generator_ = generator.check()
    net.generator_classes_ = state["generator_classes"]
    net.constraints_ = constraints.to(net.device)
    check_logits(net, space.encode(space.schema.template))


def check_sizes(
    net: NeuralNetClassifier,
    input_shape: Sequence[int],
    n_classes: int,
    state: dict[str, Any],
) -> None:
    """Compare the layers of an MLP with the weights, before they are allocated."""
    net.input_shape_, net.n_classes_ = tuple(input_shape), n_classes
    if net.module is not MLP:
        return
    n_layers = len(net.get_params_for("module").get("hidden_layer_sizes", (32,))) + 1
    # The number of layers first: on the meta device weights take no memory, but a
    # million layers would.
    if len(state["module"]) != 2 * n_layers:
        raise ValueError("its weights are not those of its layers")
    with torch.device("meta"):
        skeleton = net.initialized_instance(
            MLP,
            {
                **sizes_wanted(MLP, net.input_shape_, n_classes),
                **net.get_params_for("module"),
            },
        )
    for name, value in skeleton.state_dict().items():
        if value.shape != state["module"][name].shape:
            raise ValueError(f"its weight {name!r} is not of the size of its layer")
