"""Generators by name."""

from sklearn.base import clone

from ..utils.validation import wrong
from .base import BaseGenerator
from .eccco import ECCCoGenerator
from .generic import GenericGenerator
from .gravitational import GravitationalGenerator
from .revise import REVISEGenerator

__all__ = ["make_generator", "seed_generator"]


GENERATORS: dict[str, type[BaseGenerator]] = {
    "generic": GenericGenerator,
    "eccco": ECCCoGenerator,
    "revise": REVISEGenerator,
    "gravitational": GravitationalGenerator,
}


def make_generator(generator: str | BaseGenerator) -> BaseGenerator:
    """Build an unfitted generator from a name, or clone an instance.

    Parameters
    ----------
    generator : str or BaseGenerator

    Raises
    ------
    ValueError
        For an unknown name, or an object that is not a generator.
    """
    if isinstance(generator, str) and generator in GENERATORS:
        return GENERATORS[generator]()
    if isinstance(generator, BaseGenerator):
        return clone(generator)
    names = ", ".join(repr(name) for name in GENERATORS)
    raise wrong("generator", f"one of {names} or a BaseGenerator instance", generator)


def seed_generator(generator: BaseGenerator, seed: int) -> BaseGenerator:
    """Give a generator whose `random_state` is None the seed of its owner."""
    if getattr(generator, "random_state", seed) is None:
        generator.set_params(random_state=seed)
    return generator
