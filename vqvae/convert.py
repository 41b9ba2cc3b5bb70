"""Turn a tokenizer's file of weights into a checkpoint: python -m vqvae.convert SRC checkpoints/NAME

SRC is a pickle (.ckpt, .pt, .pth, .bin), a safetensors file, or a folder that holds one. The family and the
architecture are read from the tensors' names and shapes; what these cannot tell comes from --config, --metric or
--pixels.
"""

import argparse
import hashlib
import re
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path
from typing import Any, cast

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from vqvae import checkpoint
from vqvae.errors import BadInput, shown
from vqvae.families import FAMILIES, SCHEMA_VERSION, Convertible
from vqvae.foreign import MOST_PARAMETERS, checked, find_source, read_settings, read_tensors, section
from vqvae.images import display_name, load_image, shrink_short_side, to_tensor
from vqvae.metrics import psnr
from vqvae.places import check_folder, place_here, said_of
from vqvae.tokenizer import TokenizerModule, reconstruct
from vqvae.words import counted

METRICS = ("euclidean", "cosine", "dot")
_PHOTO_SIDE = 256  # pixels, of the short side
_DEEPEST = 6  # parts of a name that wrappers and prefixes take
_POOR_PSNR = 15  # dB; below it something about the conversion is probably wrong
_WRAPPERS = {"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}  # torch's own, anywhere in a name
_AVERAGES = ("ema", "model_ema", "ema_model", "params_ema", "state_dict_ema", "ema_state_dict", "module_ema")
_NOT_THE_MODEL = re.compile(  # parts of a name that belong to training
    r"(optimizer|discriminator|perceptual|lpips|lr_scheduler).*|opt|optim|disc|loss|losses|schedulers?|callbacks|loops|"
    r"(grad_)?scaler|hyper_parameters"
)


@dataclass(frozen=True)
class Hints:
    """What the person says of a file beyond what it holds."""

    family: str | None = None
    config: Mapping[str, Any] | None = None
    metric: str | None = None
    pixels: str | None = None


@dataclass(frozen=True, eq=False)
class Found:
    """A tokenizer in a file: which family's, below which prefix, and its tensors with the prefix taken off."""

    family: str
    prefix: str  # "" or ends in a dot
    tensors: dict[str, Tensor]
    left_out: Counter[str]  # first part of the name -> how many tensors


@dataclass(frozen=True, eq=False)
class Converted:
    """A tokenizer ready to be written, and what became of the file's tensors."""

    found: Found
    settings: dict[str, Any]  # of config.json: family and model
    weights: dict[str, Tensor]  # as model.safetensors names them
    model: TokenizerModule
    left_out: Counter[str]


def convert(tensors: Mapping[str, Tensor], hints: Hints) -> Converted:
    """Named tensors -> a tokenizer that loads; raises BadInput, saying what to add, where something is not known."""
    found = find_tokenizer(tensors, hints)
    family = convertible(found.family)
    shapes = {name: tensor.shape for name, tensor in found.tensors.items()}
    config = None if hints.config is None else section(hints.config)
    settings = family.settings_of(shapes, config=config, metric=hints.metric, pixels=hints.pixels)
    weights, left_out = _weights(found, family)
    about = {"schema_version": SCHEMA_VERSION, "family": found.family, "model": settings}
    model = checkpoint.load_model(safetensors.torch.save(weights), about)
    return Converted(found, {"family": found.family, "model": settings}, weights, model, left_out)


def _weights(found: Found, family: Convertible) -> tuple[dict[str, Tensor], Counter[str]]:
    names = {name: family.canonical(name) for name in found.tensors}
    kept = {name: ours for name, ours in names.items() if ours is not None}
    left_out = found.left_out + Counter(name.split(".")[0] for name, ours in names.items() if ours is None)
    for name in kept:
        if not name.isprintable() or len(name) > 500:
            raise BadInput(f"A tensor has the name {shown(name)}, which is not printable or too long; rename it.")
    if len(set(kept.values())) < len(kept):
        twice = Counter(kept.values()).most_common(1)[0][0]
        raise BadInput(f"Two tensors of the file are {shown(twice)} in the model; save the weights of one model alone.")
    if (parameters := sum(found.tensors[name].numel() for name in kept)) > MOST_PARAMETERS:
        raise BadInput(f"The file holds {parameters:,} parameters of the model; at most {MOST_PARAMETERS:,} are read.")
    adjusted = getattr(family, "adjusted", lambda _, tensor: tensor)
    return {
        ours: adjusted(ours, checked(name, found.tensors[name])).contiguous() for name, ours in kept.items()
    }, left_out


# Which tokenizer it is


def convertible(name: str) -> Convertible:
    """The family of that name, if its files can be converted; raises BadInput otherwise."""
    known = [name for name in FAMILIES if hasattr(_module(name), "recognises")]
    if name not in known:
        raise BadInput(f"The family {shown(name)} is none that can be converted; they are {_listed(known)}.")
    return cast(Convertible, _module(name))


def _module(name: str) -> Any:
    return import_module(f"vqvae.families.{FAMILIES[name]}")


def find_tokenizer(tensors: Mapping[str, Tensor], hints: Hints) -> Found:
    """The tokenizer among a file's tensors: the one nearest to the top of the nest that a family recognises.

    Among equals, an average of the weights (`ema`) goes before the weights of the last step, and a first stage before
    another. Raises BadInput, with the reason, where there is none or it is not clear which.
    """
    families = {name: _module(name) for name in FAMILIES if hasattr(_module(name), "recognises")}
    if hints.family is not None:
        families = {hints.family: convertible(hints.family)}
    unwrapped = _without_wrappers(tensors)
    if not unwrapped:
        raise BadInput("The file holds no named tensors; name the file with the weights.")
    parts = [name.split(".") for name in unwrapped]
    parts = [each for each in parts if not any(_is_of_training(part) for part in each)]
    for depth in range(_DEEPEST):
        fitting: dict[str, list[str]] = {}
        for prefix, names in _below(parts, depth).items():
            shapes = {name: unwrapped[prefix + name].shape for name in names}
            if known := [name for name, module in families.items() if module.recognises(shapes)]:
                fitting[prefix] = known
        if fitting:
            prefix = _chosen(list(fitting))
            if len(fitting[prefix]) > 1:
                raise BadInput(
                    f"The families {_listed(fitting[prefix])} all have such tensors; say which it is with --family."
                )
            return _found(fitting[prefix][0], prefix, _below(parts, depth)[prefix], unwrapped)
    if hints.family is not None and parts:
        shared = _shared(min(parts)[:-1], max(parts)[:-1])
        prefix = "".join(f"{part}." for part in shared)
        return _found(hints.family, prefix, _below(parts, len(shared)).get(prefix, []), unwrapped)
    kept = {name: unwrapped[name] for name in map(".".join, parts)}
    raise BadInput(why_unknown(kept, list(families), hints.config))


def _without_wrappers(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    renamed = {".".join(part for part in name.split(".") if part not in _WRAPPERS): name for name in tensors}
    if len(renamed) < len(tensors):
        raise BadInput("The file holds compiled and plain weights of the same names; save the weights of one model.")
    return {ours: tensors[name] for ours, name in renamed.items()}


@cache
def _is_of_training(part: str) -> bool:
    return _NOT_THE_MODEL.fullmatch(part) is not None


def _below(parts: list[list[str]], depth: int) -> dict[str, list[str]]:
    """Prefix of `depth` parts -> the names below it, which averages of the weights beside the model are not among."""
    groups: dict[str, list[str]] = {}
    for name in parts:
        if len(name) > depth and name[depth] not in _AVERAGES:
            groups.setdefault("".join(f"{part}." for part in name[:depth]), []).append(".".join(name[depth:]))
    return groups


def _chosen(prefixes: list[str]) -> str:
    candidates = prefixes
    for preferred in (_AVERAGES, ("first_stage_model",)):
        candidates = [prefix for prefix in candidates if set(preferred) & set(prefix.split("."))] or candidates
    if len(candidates) > 1:
        named = _listed([shown(prefix.removesuffix("."))[1:-1] for prefix in candidates[:3]])
        raise BadInput(f"The file holds several tokenizers, {named}; save the state_dict() of one of them alone.")
    return candidates[0]


def _shared(parts: list[str], others: list[str]) -> list[str]:
    """What both begin with."""
    return [part for part, _ in takewhile(lambda pair: pair[0] == pair[1], zip(parts, others, strict=False))]


def _found(family: str, prefix: str, names: list[str], tensors: Mapping[str, Tensor]) -> Found:
    inside = {name: tensors[prefix + name] for name in names}
    taken = {prefix + name for name in names}
    left_out: Counter[str] = Counter()
    for parts in (name.split(".") for name in tensors if name not in taken):
        left_out[parts[min(len(_shared(prefix.split("."), parts)), len(parts) - 1)]] += 1
    return Found(family, prefix, inside, left_out)


# Why it is none of ours

_CODEBOOK = re.compile(r"quanti[sz]e|codebook|embeddings?\.weight|vq_layer|vector_quanti", re.IGNORECASE)
_LANGUAGE = re.compile(r"(^|\.)(self_attn|lm_head|embed_tokens|wte|word_embeddings|attention\.self|SelfAttention)\.")


def why_unknown(model: Mapping[str, Tensor], families: list[str], config: Mapping[str, Any] | None) -> str:
    """One sentence for tensors that no family recognises: the reason where it is a known one, else what was seen."""
    if not model:
        return "The file holds only an optimizer or other training state and no model; name the file with the weights."
    coded = [name for name in model if _CODEBOOK.search(name)]
    decoded = [name for name in model if "decoder" in name]
    if decoded and not coded and _is_continuous(model):
        return "This has no codebook: a KL autoencoder is continuous; use a tokenizer with a codebook (VQ)."
    if config is not None and "auto_map" in config:
        return "This model needs code of its own (auto_map in its config), which is not run; write a loader for it."
    if any(_LANGUAGE.search(name) for name in model) and not (decoded and coded):
        return "These are the weights of a transformer and not of an image tokenizer; name the tokenizer's own file."
    if coded and not decoded:
        return f"This has a codebook ({shown(coded[0])}) and no decoder, so it makes no image; use the complete model."
    seen = ", ".join(shown(name, longest=50) for name in list(model)[:3])
    return f"No known family has tensors named {seen}; the known ones are {_listed(families)} (--family forces one)."


def _is_continuous(tensors: Mapping[str, Tensor]) -> bool:
    """Whether an encoder ends in a mean and a variance for each channel that the decoder takes."""

    def width(ending: str, axis: int) -> int:
        fitting = (t.shape[axis] for name, t in tensors.items() if t.ndim >= 2 and re.search(ending, name))
        return next(fitting, 0)

    into = width(r"(?<!post_)quant_conv\.weight$", 0) or width(r"encoder\.conv_out\.weight$", 0)
    out_of = width(r"post_quant_conv\.weight$", 1) or width(r"decoder\.conv_in\.weight$", 1)
    return into > 0 and into == 2 * out_of


def _listed(names: list[str]) -> str:
    quoted = [repr(name) for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"


# The command


def check_output(folder: Path, *, overwrite: bool) -> None:
    """Raise BadInput, before any work, when a checkpoint lies there already or nothing can be written there."""
    check_folder(folder)
    taken = [file for file in (checkpoint.CONFIG_FILE, *checkpoint.WEIGHTS_FILES) if (folder / file).exists()]
    if taken and not overwrite:
        name = display_name(folder.name)
        raise BadInput(f"The folder {name} holds a checkpoint ({taken[0]}); choose another, or add --overwrite.")


@torch.inference_mode()
def photo_psnr(model: TokenizerModule) -> float | None:
    """PSNR in dB of a bundled photo, from the codes alone; None where the photo is not installed."""
    spec = find_spec("skimage")
    path = Path(spec.origin).parent / "data" / "chelsea.png" if spec and spec.origin else None
    if path is None or not path.is_file():
        return None
    photo = shrink_short_side(load_image(path.read_bytes(), path.name), _PHOTO_SIDE)
    if only := model.spec.sizes.only:
        photo = photo.resize((only[1], only[0]))
    pixels = to_tensor(photo)
    return psnr(reconstruct(model, pixels), pixels).item()


def about(source: Path, result: Converted) -> dict[str, Any]:
    """What config.json keeps of where the weights came from."""
    with source.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    origin = {
        "from": source.name,
        "sha256": digest,
        "bytes": source.stat().st_size,
        "prefix": result.found.prefix,
        "tensors_kept": len(result.weights),
        "tensors_left_out": result.left_out.total(),
        "versions": {"torch": torch.__version__, "safetensors": safetensors.__version__},
    }
    return {"summary": f"Converted from {source.name}.", "converted": origin}


def report(result: Converted, quality: float | None, out: Path) -> str:
    """What was recognised, kept and left out, and the next command; a few lines."""
    level = result.model.spec.levels[0]
    parameters = sum(tensor.numel() for tensor in result.weights.values())
    under = f" under {shown(result.found.prefix.removesuffix('.'), longest=60)}" if result.found.prefix else ""
    lines = [
        f"recognised   {result.found.family}{under}: {counted(level.codes, 'code')} of {level.dim}, "
        f"{level.metric} metric",
        f"kept         {counted(len(result.weights), 'tensor')}, {counted(parameters, 'parameter')}",
    ]
    if result.left_out:
        parts = ", ".join(f"{shown(name)[1:-1]} ({count:,})" for name, count in result.left_out.most_common(6))
        lines.append(f"left out     {counted(result.left_out.total(), 'tensor')}: {parts}")
    if quality is not None:
        hint = "; that is poor: is the metric or the pixel range another?" if not quality >= _POOR_PSNR else ""
        lines.append(f"a photo      {quality:.1f} dB from its codes alone{hint}")
    pick = f"next         open the app (vqvae-explorer, or streamlit run app.py), and pick {out.name}"
    return "\n".join([*lines, f"written to   {out}", pick])


def _arguments(arguments: list[str] | None, prog: str | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=prog, description=__doc__.splitlines()[0])
    parser.add_argument(
        "source", type=place_here, help="a .ckpt, .pt, .pth, .bin or .safetensors file, or a folder with one"
    )
    parser.add_argument("out", type=place_here, help="the checkpoint's folder, for example checkpoints/NAME")
    parser.add_argument("--family", help="which family it is, where names and shapes do not tell")
    parser.add_argument(
        "--config", type=place_here, help="the authors' config, YAML or JSON; its classes are not imported"
    )
    parser.add_argument("--metric", choices=METRICS, help="by what the nearest code is found")
    parser.add_argument("--pixels", help="the range of pixels that the model takes, where the family asks for it")
    parser.add_argument("--overwrite", action="store_true", help="replace the checkpoint that lies there")
    return parser.parse_args(_joined(sys.argv[1:] if arguments is None else arguments))


def _joined(arguments: list[str]) -> list[str]:
    """Arguments with `--pixels -1..1` as one: argparse would take the range for an option."""
    joined: list[str] = []
    for argument in arguments:
        if joined and joined[-1] == "--pixels":
            joined[-1] = f"--pixels={argument}"
        else:
            joined.append(argument)
    return joined


def main(arguments: list[str] | None = None, *, prog: str = "python -m vqvae.convert") -> int:
    options = _arguments(arguments, prog)
    try:
        check_output(options.out, overwrite=options.overwrite)
        source = find_source(options.source)
        config_file = options.config or source.config
        config = read_settings(config_file) if config_file else None
        hints = Hints(options.family, config, options.metric, options.pixels)
        result = convert(read_tensors(source.weights), hints)
        quality = photo_psnr(result.model)
        checkpoint.write(options.out, result.settings | about(source.weights, result), result.weights)
    except (BadInput, OSError) as fault:
        print(f"error: {said_of(fault)}", file=sys.stderr)
        return 2
    print(report(result, quality, options.out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
