"""Opening a recipe: the checkpoint and the picture that it was made with are looked for and opened, too."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from explorer.base.open_model import OpenModel
from explorer.editing import bundle as bundles
from explorer.editing import recipe as recipes
from explorer.editing.bundle import Bundle
from explorer.editing.edits import Painting
from explorer.editing.engine import EditEngine
from explorer.editing.recipe import Recipe
from explorer.ui import cache, store
from explorer.ui.picture_choice import open_named, picture_titles
from explorer.ui.session import SavedEdit, Session, Upload
from explorer.ui.transport import uploads
from vqvae.checkpoint import CheckpointInfo
from vqvae.errors import BadInput
from vqvae.places import is_snapshot


def open_recipe(data: bytes, model: OpenModel) -> None:
    """Bring up what a recipe was made with, for `apply_pending` to lay it over; raises BadInput and changes nothing."""
    bundle = bundles.unpack(data)
    recipe = bundle.recipe
    session = _with_checkpoint(store.read(), model, recipe)
    if bundle.files:
        pictures = _pictures_of(bundle, model)
        store.keep(_with_pictures(store.read(), pictures))
        session = _with_pictures(session, pictures)
    session = session.with_working_size(recipe.working_size)
    session = session.with_picture(_picture_named(recipe.image, recipe, model))
    start = recipe.start
    if start.kind == "mix":
        start = replace(start, other=_picture_named(start.other, recipe, model))
    store.write(session.with_start(start).with_recipe(recipe))


def apply_pending(engine: EditEngine, saved: SavedEdit) -> SavedEdit:
    """Lay a recipe that was just opened over the saved of its grid; raises BadInput when it does not fit."""
    session = store.read()
    recipe = session.edit.recipe
    if recipe is None:
        return saved
    session = store.keep(session.on("edit", recipe=None))  # one that does not fit is refused once
    tokenizer, base = engine.model.tokenizer, engine.base
    if recipe.start.kind == "random":  # it says what was drawn: another usage would draw otherwise from the same seed
        base = recipes.base_of(tokenizer, recipe, [engine.picture])
    edit = recipes.edit_of(recipe, base, codes=engine.model.codes)
    level = min(1.0, max(0.0, recipe.level))
    session = session.with_blend(level or session.blend, uses_embedding=level > 0, inputs=engine.model.inputs)
    opened = replace(saved, painting=Painting.of(edit, level=recipe.level), load=saved.load + 1, refusal="")
    store.write(session.with_saved_edit(opened))
    return opened


def _pictures_of(bundle: Bundle, model: OpenModel) -> list[Upload]:
    """The pictures that came with a recipe, as uploads; raises BadInput for other ones and where there is no room."""
    pictures = [Upload(found.name, found.data) for found in bundles.pictures_of(bundle, only=model.spec.sizes.only)]
    for upload in pictures:
        if not uploads.room().admit(upload, len(upload.data)):
            raise uploads.no_room(upload.name)
    return pictures


def _with_pictures(session: Session, pictures: list[Upload]) -> Session:
    for upload in pictures:
        session = session.with_upload(upload)
    return session


def _with_checkpoint(session: Session, model: OpenModel, recipe: Recipe) -> Session:
    if recipe.checkpoint_hash == model.fingerprint:
        return session
    for found in cache.find_checkpoints():
        if isinstance(found, CheckpointInfo) and cache.fingerprint(found.folder) == recipe.checkpoint_hash:
            return session.with_checkpoint(found.name)
    if is_snapshot(recipe.checkpoint):
        with suppress(BadInput, OSError):
            if cache.fingerprint(cache.find_named(recipe.checkpoint)) == recipe.checkpoint_hash:
                return session.with_checkpoint(recipe.checkpoint)
    recipes.check_checkpoint(recipe, model.fingerprint)
    return session


def _picture_named(key: str, recipe: Recipe, model: OpenModel) -> str:
    """The name of the picture in the gallery that has this key at the recipe's working size; raises BadInput."""
    for name in picture_titles():
        if open_named(name, recipe.working_size, model).key == key:
            return name
    raise BadInput(
        f"The recipe's picture ({recipe.width} × {recipe.height} px) is not among the pictures here; "
        "upload it and open the recipe again."
    )
