"""One file with tensors and a JSON document: written at once, read without code."""

import contextlib
import hashlib
import json
import os
import secrets
import struct
from collections.abc import Iterator
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from ..utils.version import __version__

__all__ = ["checksum", "read", "refused", "refusing", "temporary_name", "write"]


FORMAT_VERSION = "1"
MAX_DEPTH = 100  # of nested values; files that `write` makes have some twenty levels


def write(
    path: str | os.PathLike, kind: str, document: Any, tensors: dict[str, Tensor]
) -> None:
    """Write a document and its tensors as one safetensors file.

    Parameters
    ----------
    path : str or path-like
    kind : str
        What the file holds; `read` asks for the same.
    document : JSON value
    tensors : dict of str to Tensor
    """
    # Python would write NaN and Infinity, which are not JSON.
    text = json.dumps(document, allow_nan=False, separators=(",", ":"))
    metadata = {
        "format": kind,
        "format_version": FORMAT_VERSION,
        "skct_version": __version__,
        "document": text,
        "sha256": checksum(text, tensors),
    }
    write_atomically(path, save(tensors, metadata))


def read(path: str | os.PathLike, kind: str) -> tuple[Any, dict[str, Tensor]]:
    """Read what `write` has written.

    Returns
    -------
    document : JSON value
    tensors : dict of str to Tensor

    Raises
    ------
    ValueError
        For any other file, a damaged one, or one of another version.
    OSError
        If the file cannot be read.
    """
    with open(path, "rb") as file:
        data = file.read()
    # What the file says about itself comes first. Whatever follows may have another
    # meaning in another version, and would then be reported as damage.
    try:
        metadata = header(data)["__metadata__"]
        found = metadata["format"]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise refused(path, f"it is not a {kind}, or it is cut off") from error
    if found != kind:
        raise refused(path, f"it is not a {kind} but says {str(found)[:40]!r}")
    check_versions(path, metadata)
    try:
        tensors, text = load(data), metadata["document"]
        intact = checksum(text, tensors) == metadata["sha256"]
        document = json.loads(text, object_pairs_hook=unique)
        check_depth(document)
    except (
        *(AttributeError, KeyError, TypeError, ValueError),
        *(RuntimeError, SafetensorError),  # RuntimeError: RecursionError, too
    ) as error:
        raise refused(path, "it is damaged") from error
    if not intact:
        raise refused(path, "it is damaged: the checksum is wrong")
    return document, tensors


def header(data: bytes) -> dict[str, Any]:
    """JSON header of a safetensors file."""
    (size,) = struct.unpack_from("<Q", data.ljust(8, b"\0"))
    if size > len(data) - 8:
        raise ValueError("The header is longer than the file.")
    return json.loads(data[8 : 8 + size].decode(), object_pairs_hook=unique)


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Dict of a JSON object that names nothing twice."""
    # Of two entries with one name, readers take either. The header is read twice, here
    # and by safetensors, and both have to see the same.
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("A name comes twice.")
    return found


def check_depth(document: Any) -> None:
    """Raise a ValueError for values that are nested too deeply to be decoded safely.

    How deep recursion may go differs between versions of Python.
    """
    level = [document]
    for _ in range(MAX_DEPTH):
        parts = (v.values() if isinstance(v, dict) else v for v in level)
        level = [v for inner in parts for v in inner if isinstance(v, (dict, list))]
        if not level:
            return
    raise ValueError(f"Values are nested more than {MAX_DEPTH} times.")


def check_versions(path: str | os.PathLike, metadata: dict[str, Any]) -> None:
    """Refuse what another version may have meant differently."""
    version = metadata.get("format_version")
    if version != FORMAT_VERSION:
        raise refused(
            path,
            f"it has format_version {str(version)[:20]!r}, and this version of skct "
            f"reads {FORMAT_VERSION!r}; load it with the version that wrote it",
        )
    writer = str(metadata.get("skct_version"))[:20]
    if writer.split(".")[0] != __version__.split(".")[0]:
        raise refused(
            path,
            f"skct {writer} has written it, and this is {__version__}: another major "
            "version; load it with the version that wrote it",
        )


def checksum(text: str, tensors: dict[str, Tensor]) -> str:
    """SHA-256 of the document and of names, types, shapes and bytes of the tensors."""
    # This finds accidents, not forgers: whoever writes a file can compute its checksum.
    # Types and shapes belong to it, since the same bytes are other numbers in another
    # type.
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        value = tensors[name].contiguous()
        digest.update(repr((name, str(value.dtype), tuple(value.shape))).encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def refused(path: str | os.PathLike, reason: str) -> ValueError:
    """Build the one error for a file that is not what it should be."""
    return ValueError(f"Cannot load {os.fspath(path)!r}: {reason}.")


@contextlib.contextmanager
def refusing(path: str | os.PathLike) -> Iterator[None]:
    """Turn whatever goes wrong with the contents of a file into the one error."""
    try:
        yield
    except ValueError as error:
        raise refused(path, str(error).rstrip(".")) from error
    except (
        *(ArithmeticError, AssertionError, AttributeError, LookupError, TypeError),
        RuntimeError,  # torch's, and RecursionError
    ) as error:
        raise refused(path, "its parts do not fit together") from error


def write_atomically(path: str | os.PathLike, data: bytes) -> None:
    """Replace a file at once: whatever happens, the old one or the new one is there."""
    target = os.path.realpath(path)  # a link stays a link
    temporary = temporary_name(target, secrets.token_hex(4))
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            # Before the rename, or a power cut may leave the new name on an empty file.
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def temporary_name(target: str, key: str) -> str:
    """Name beside `target`, on the same disk."""
    folder, name = os.path.split(target)
    return os.path.join(folder, f".{name}.{key}.tmp")
