"""Values as JSON and tensors, and back: a closed list of types, no code.

A class is found by looking its name up in a table of this module; nothing is imported,
called or evaluated because a file says so.
"""

import dataclasses
import datetime
import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import torch
from skorch.dataset import Dataset, ValidSplit
from torch import Tensor, nn, optim
from torch.utils.data import DataLoader

from ..constraints import Constraints, Group
from ..encoding.reference import ColumnSummary
from ..encoding.rules import Rule
from ..encoding.schema import RawColumn
from ..generators.registry import GENERATORS
from ..generators.vae import VAE
from ..preprocessing import CategoryColumn, NumericColumn, TableEncoder
from ..training.loader import BatchLoader
from ..training.mlp import MLP
from ..training.objectives import OBJECTIVES

__all__ = ["decode", "encode", "load_weights"]


def by_name(*classes: type) -> dict[str, type]:
    """Table of classes."""
    return {cls.__name__: cls for cls in classes}


# A name in a file is looked up in these tables and nowhere else: if modules were
# searched, whoever wrote the file could have any installed function called. Never list
# a class that runs code out of its parameters.

# Named only.
CLASSES = by_name(
    *(MLP, BatchLoader, DataLoader, Dataset, nn.CrossEntropyLoss, nn.NLLLoss),
    *(optim.Adadelta, optim.Adagrad, optim.Adam, optim.AdamW, optim.Adamax, optim.ASGD),
    *(optim.LBFGS, optim.NAdam, optim.RAdam, optim.RMSprop, optim.Rprop, optim.SGD),
)
# Built from their parameters.
OBJECTS = by_name(
    *(Constraints, Group, RawColumn, Rule, NumericColumn, CategoryColumn),
    *(
        TableEncoder,
        ColumnSummary,
        ValidSplit,
        *GENERATORS.values(),
        *OBJECTIVES.values(),
    ),
)
# Parameters that were renamed since the first files: class -> name in code -> in files.
RENAMED = {"Rule": {"mutability": "word"}, "NumericColumn": {"center": "mean"}}
# What they have learnt.
LEARNT = {cls.__name__: cls.fitted_attributes for cls in GENERATORS.values()} | {
    "TableEncoder": ("columns_", "n_features_in_"),
}
SCALARS = by_name(
    *(np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32),
    *(np.uint64, np.float16, np.float32, np.float64, np.str_),
) | {"bool": np.bool_}
# JSON has no numbers for these, and open ends of a domain are infinite.
NOT_FINITE = {repr(value): value for value in (math.inf, -math.inf, math.nan)}


# -------------------------------------------------------------------------- encoding


def encode(value: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    """JSON for a value; its tensors are added to `tensors`, named after `path`.

    Raises
    ------
    ValueError
        For a type that is not on the list; names the path.
    """
    # Exact types, no subclasses: they may carry what their base cannot hold, and a
    # np.float64, which is a float, has to come back as what it was.
    kind = type(value)
    if value is None or kind in (bool, int, str):
        return value
    if kind is float:
        return value if math.isfinite(value) else tagged("float", value=repr(value))
    if kind is list:
        return [encode(v, f"{path}.{i}", tensors) for i, v in enumerate(value)]
    if kind in (tuple, set, frozenset):
        return tagged(kind.__name__, items=encode(list(value), path, tensors))
    if isinstance(value, dict):
        return tagged("dict", items=encode_items(value, path, tensors))
    if isinstance(value, np.generic) and kind in SCALARS.values():
        name = "bool" if kind is np.bool_ else kind.__name__
        item = encode(value.item(), path, tensors)
        return tagged("scalar", dtype=name, value=item)
    if kind is np.ndarray:
        return encode_array(value, path, tensors)
    if isinstance(value, torch.Tensor) and value.layout is torch.strided:
        return tagged("tensor", name=put(tensors, path, value.detach()))
    if isinstance(value, type) and CLASSES.get(value.__name__) is value:
        return tagged("class", name=value.__name__)
    if kind is VAE:
        return encode_vae(value, path, tensors)
    if OBJECTS.get(kind.__name__) is kind:
        return encode_object(value, path, tensors)
    return encode_rare(value, path, tensors)


def tagged(kind: str, **fields: Any) -> dict[str, Any]:
    """JSON object that says what it stands for."""
    return {"type": kind, **fields}


def encode_items(value: Mapping, path: str, tensors: dict[str, Tensor]) -> list:
    """Pairs of a dict, tensors named after the keys."""
    # Pairs, since keys of JSON objects are strings, and columns may have numbers.
    return [
        [encode(k, f"{path}.key", tensors), encode(v, f"{path}.{k}", tensors)]
        for k, v in value.items()
    ]


def encode_array(
    value: np.ndarray, path: str, tensors: dict[str, Tensor]
) -> dict[str, Any]:
    """Numbers and strings as a tensor, objects one by one."""
    if value.dtype == object:
        items = encode(value.ravel().tolist(), path, tensors)
        return tagged("objects", shape=list(value.shape), items=items)
    if value.dtype.kind not in "biufU":
        raise unsaved(value, path)
    # torch knows neither strings nor the byte order of another machine.
    plain = np.array(value, dtype=value.dtype.newbyteorder("="), order="C")
    if plain.dtype.kind == "U":  # code points, in one more dimension
        width = plain.dtype.itemsize // 4
        plain = plain.reshape(-1).view(np.int32).reshape(*value.shape, width)
        return tagged("strings", name=put(tensors, path, torch.from_numpy(plain)))
    return tagged("array", name=put(tensors, path, torch.from_numpy(plain)))


def put(tensors: dict[str, Tensor], path: str, value: Tensor) -> str:
    """Name under which a copy of a tensor is kept."""
    # The keys 1 and '1' of a dict give the same path.
    while path in tensors:
        path += "'"
    # A copy: safetensors refuses tensors that share memory.
    tensors[path] = value.cpu().clone(memory_format=torch.contiguous_format)
    return path


def encode_object(value: Any, path: str, tensors: dict[str, Tensor]) -> dict[str, Any]:
    """Parameters and what was learnt."""
    name = type(value).__name__
    learnt = {n: vars(value)[n] for n in LEARNT.get(name, ()) if n in vars(value)}
    return tagged(
        "object",
        name=name,
        parameters=encode_items(file_parameters(value), path, tensors),
        learnt=encode_items(learnt, path, tensors),
    )


def file_parameters(value: Any) -> dict[str, Any]:
    """What the constructor takes, by the names of files."""
    renamed = RENAMED.get(type(value).__name__, {})
    return {renamed.get(name, name): v for name, v in parameters(value).items()}


def parameters(value: Any) -> dict[str, Any]:
    """What the constructor takes."""
    if hasattr(value, "_asdict"):  # a named tuple
        return value._asdict()
    if dataclasses.is_dataclass(value):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    if isinstance(value, ValidSplit):
        return {n: vars(value)[n] for n in ("cv", "stratified", "random_state")}
    return value.get_params(deep=False)


def encode_vae(value: VAE, path: str, tensors: dict[str, Tensor]) -> dict[str, Any]:
    """Sizes and weights."""
    return tagged(
        "vae",
        latent_dim=value.decoder[0].in_features,
        hidden_size=value.decoder[0].out_features,
        state=encode_items(dict(value.state_dict()), path, tensors),
    )


def encode_rare(value: Any, path: str, tensors: dict[str, Tensor]) -> dict[str, Any]:
    """Categories that are not text or numbers, and random states."""
    if type(value) is pd.Interval:
        ends = encode([value.left, value.right], path, tensors)
        return tagged("interval", ends=ends, closed=value.closed)
    if type(value) is pd.Timestamp and value.tz is None:
        return tagged("timestamp", value=value.isoformat())
    if type(value) is datetime.date:
        return tagged("date", value=value.isoformat())
    if type(value) is Decimal:
        return tagged("decimal", value=str(value))
    if type(value) is np.random.RandomState:
        state = encode(list(value.get_state()), path, tensors)
        return tagged("random_state", state=state)
    raise unsaved(value, path)


def unsaved(value: Any, path: str) -> ValueError:
    """Build the error for a value of an unknown type."""
    return ValueError(
        f"{path!r} cannot be saved without pickle: it is {repr(value)[:60]} of the "
        f"type {type(value).__name__}. Give a plain value, or a part that comes with "
        "skct; or use pickle or joblib for the whole estimator."
    )


# -------------------------------------------------------------------------- decoding


def decode(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Value of what `encode` made; tensors that are used leave `tensors`.

    Raises
    ------
    KeyError, TypeError, ValueError and others
        For anything that `encode` does not make.
    """
    if not isinstance(value, (dict, list)):
        return value
    if isinstance(value, list):
        return [decode(v, tensors) for v in value]
    return DECODERS[value["type"]](value, tensors)


def decode_items(items: Any, tensors: dict[str, Tensor]) -> dict:
    return {decode(k, tensors): decode(v, tensors) for k, v in items}


def decode_array(value: Any, tensors: dict[str, Tensor]) -> np.ndarray:
    return tensors.pop(value["name"]).numpy()


def decode_strings(value: Any, tensors: dict[str, Tensor]) -> np.ndarray:
    points = np.ascontiguousarray(tensors.pop(value["name"]).numpy())
    strings = points.view(f"U{points.shape[-1]}")[..., 0]
    strings.tolist()  # raises where there is no such character
    return strings


def decode_objects(value: Any, tensors: dict[str, Tensor]) -> np.ndarray:
    items = decode(value["items"], tensors)
    array = np.empty(len(items), dtype=object)
    for i, item in enumerate(items):
        array[i] = item
    return array.reshape(value["shape"])


def decode_object(value: Any, tensors: dict[str, Tensor]) -> Any:
    name = value["name"]
    renamed = {old: new for new, old in RENAMED.get(name, {}).items()}
    given = decode_items(value["parameters"], tensors)
    built = OBJECTS[name](**{renamed.get(n, n): v for n, v in given.items()})
    learnt = decode_items(value["learnt"], tensors)
    # Any other attribute could stand in front of a method, or of a checked parameter.
    if not set(learnt) <= set(LEARNT.get(name, ())):
        raise ValueError(f"{name} learns nothing of that kind.")
    if learnt:
        vars(built).update(learnt)
    return built


def decode_vae(value: Any, tensors: dict[str, Tensor]) -> VAE:
    state = decode_items(value["state"], tensors)
    with torch.device("meta"):  # nothing is allocated for sizes that a file invents
        vae = VAE(
            torch.empty_like(state["location"], device="meta"),
            torch.empty_like(state["scale"], device="meta"),
            latent_dim=value["latent_dim"],
            hidden_size=value["hidden_size"],
        )
    load_weights(vae, state, assign=True)
    if not (vae.location.isfinite() & vae.scale.isfinite()).all():
        raise ValueError("The units of the autoencoder are not finite.")
    return vae.requires_grad_(False).eval()


def load_weights(
    module: nn.Module, state: Mapping[str, Tensor], assign: bool = False
) -> None:
    """Put weights into a module, all of them, of the same type and finite.

    Raises
    ------
    ValueError
        If names, shapes or types differ, or a weight is not finite.
    """
    # `load_state_dict` complains only after it has copied what fits, and casts other
    # types without a word: so everything is compared before.
    own = module.state_dict()
    wanted = {name: (value.shape, value.dtype) for name, value in own.items()}
    given = {name: (value.shape, value.dtype) for name, value in state.items()}
    if wanted != given:
        names = [n for n in {**wanted, **given} if wanted.get(n) != given.get(n)]
        raise ValueError(f"The weights {names[:5]} are not those of the module.")
    # Parameters only: a buffer may hold infinity on purpose, as an attention mask does.
    for name, parameter in module.named_parameters():
        if parameter.is_floating_point() and not state[name].isfinite().all():
            raise ValueError(f"The weight {name!r} is not finite.")
    module.load_state_dict(state, assign=assign)


def decode_random_state(
    value: Any, tensors: dict[str, Tensor]
) -> np.random.RandomState:
    random_state = np.random.RandomState(0)
    random_state.set_state(tuple(decode(value["state"], tensors)))
    return random_state


DECODERS = {
    "float": lambda value, _: NOT_FINITE[value["value"]],
    "dict": lambda value, tensors: decode_items(value["items"], tensors),
    "scalar": lambda value, tensors: SCALARS[value["dtype"]](
        decode(value["value"], tensors)
    ),
    "array": decode_array,
    "strings": decode_strings,
    "objects": decode_objects,
    "tensor": lambda value, tensors: tensors.pop(value["name"]),
    "class": lambda value, _: CLASSES[value["name"]],
    "object": decode_object,
    "vae": decode_vae,
    "interval": lambda value, tensors: pd.Interval(
        *decode(value["ends"], tensors), closed=value["closed"]
    ),
    "timestamp": lambda value, _: pd.Timestamp(value["value"]),
    "date": lambda value, _: datetime.date.fromisoformat(value["value"]),
    "decimal": lambda value, _: Decimal(value["value"]),
    "random_state": decode_random_state,
    "tuple": lambda value, tensors: tuple(decode(value["items"], tensors)),
    "set": lambda value, tensors: set(decode(value["items"], tensors)),
    "frozenset": lambda value, tensors: frozenset(decode(value["items"], tensors)),
}
