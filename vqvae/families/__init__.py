"""Families of tokenizers that a checkpoint folder can hold: one module each, a thin adapter to `Tokenizer`.

A family module offers

    build(settings)     the content of config.json -> a `TokenizerModule`, its weights not yet loaded; raises BadInput
                        at the first fault. It is called on torch's meta device, too: it must be cheap for whatever a
                        config says, so every number is checked against a bound before it is used.
    WEIGHTS_FILE        the name of the file beside config.json that holds the weights, in the safetensors format
    renamed(name)       a tensor's name in that file -> its name in the module's state_dict

and, where files of its authors can be converted, names and shapes of tensors being those of such a file,

    recognises(shapes)  whether they are this family's
    settings_of(shapes, *, config, metric, pixels)
                        the object "model" of our config.json: the architecture by the shapes, the rest by the authors'
                        config and what the person says of metric and pixel range; raises BadInput, with one sentence
                        that asks for it, where something is still unknown
    canonical(name)     a tensor's name there -> its name in the module's state_dict, None where it is not needed
    adjusted(name, tensor)
                        (may be missing) the tensor of that canonical name, as the module holds it

A folder of diffusers says in its config.json which class it is of (`_class_name`), and opens as it is.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Protocol, cast

import torch

from vqvae.errors import BadInput, shown
from vqvae.tokenizer import TokenizerModule

SCHEMA_VERSION = 1
FAMILIES: dict[str, str] = {  # what config.json calls it -> its module here
    "vqvae-two-input": "two_input",
    "vqgan": "vqgan",
    "maskgit-vqgan": "maskgit",
    "pytorch-vq-vae": "pytorch_vq_vae",
    "dall-e": "dall_e",
}


TITLES: dict[str, str] = {  # for people
    "vqvae-two-input": "VQ-VAE Explorer",
    "vqgan": "VQGAN",
    "diffusers": "diffusers VQModel",
    "maskgit-vqgan": "MaskGIT VQGAN",
    "pytorch-vq-vae": "pytorch-vq-vae",
    "dall-e": "DALL·E dVAE",
}


class Family(Protocol):
    """What a family's module offers."""

    WEIGHTS_FILE: str

    def build(self, settings: Mapping[str, Any]) -> TokenizerModule: ...

    def renamed(self, name: str) -> str: ...


class Convertible(Protocol):
    """What a family's module offers, further, whose authors' files can be converted."""

    def recognises(self, shapes: Mapping[str, torch.Size]) -> bool: ...

    def settings_of(
        self,
        shapes: Mapping[str, torch.Size],
        *,
        config: Mapping[str, Any] | None,
        metric: str | None,
        pixels: str | None,
    ) -> dict[str, Any]: ...

    def canonical(self, name: str) -> str | None: ...


def family_of(settings: Mapping[str, Any]) -> Family:
    """The family that the content of a config.json names; raises BadInput where it is none of ours."""
    if "_class_name" in settings and "family" not in settings:
        return cast(Family, import_module("vqvae.families.diffusers"))
    version, family = settings.get("schema_version"), settings.get("family")
    if type(version) is not int or version != SCHEMA_VERSION:
        raise BadInput(
            f"The config's schema_version is {shown(version)}, and this app reads {SCHEMA_VERSION}; convert it."
        )
    if not isinstance(family, str) or family not in FAMILIES:
        known = ", ".join(repr(name) for name in FAMILIES)
        raise BadInput(f"The config's family is {shown(family)}, and this app reads {known}.")
    return cast(Family, import_module(f"vqvae.families.{FAMILIES[family]}"))
