"""The base class of results: shown as an image or a figure, saved with safetensors beside it, loaded again."""

from __future__ import annotations

import json
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, fields
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

from torch import Tensor

from optvis.arguments import TensorFields
from optvis.data.files import ensure_dir
from optvis.data.own_files import KIND, OWN, check_own_files, write_own_files
from optvis.data.schema import parse_json, read_value
from optvis.errors import warn_user
from optvis.progress import runs_in_kernel
from optvis.viz.figures import draw_pixels, encode_figure
from optvis.viz.sheet import encode_png
from optvis.viz.tensor_file import encode_tensors, read_tensor_file, restore_surrogates
from optvis.viz.tiles import plot_image

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL import Image

RECIPE = "recipe"
MAX_KIND = 60  # characters of a foreign kind in an error message
TENSOR_SUFFIX = ".safetensors"
VECTOR_FORMATS = {".svg": ("svg", "Description"), ".pdf": ("pdf", "Subject")}  # and where each says what it holds


class Result(TensorFields, ABC):
    """Something computed from a network, with the recipe that computed it: a mixin for frozen dataclasses.

    `save` writes two files: a PNG of `image()` with the recipe in its text chunk "optvis", or a PDF or SVG of
    `figure()`, and beside it a safetensors file with all tensors, whose header holds the recipe and the other fields as
    JSON. `load` reads the tensors and builds the same result; it checks the file first.

    A subclass is a frozen dataclass with a field `recipe`. It states its kind and its fields in class variables, and
    draws itself in `image`. That is all where each field is a tensor, a text, or JSON:

    Attributes:
        KIND: what the result is, a noun; it is written into files and named in error messages.
        TENSOR_FIELDS: the axes of each field that is a tensor, which the constructor checks; see `TensorFields`. A
            field whose default is None may be None, and is then left out of the file.
        TEXT_FIELDS: fields that are texts.
        JSON_FIELDS: the type of each other field: int, float, str, Any, a tuple, a mapping or a dataclass of them; see
            `read_value`.
        RECIPE_FIELDS: the type of each entry of the recipe that the result itself reads, likewise; loading checks them.

    A subclass with other fields (a mapping of tensors) overrides `_tensors`, `_json_values` and `_from_parts`. One
    whose fields have to fit each other in more than axes overrides `_check`.

    Example:
        >>> import tempfile
        >>> import torch
        >>> from dataclasses import dataclass
        >>> from optvis.viz import to_pil_image
        >>> @dataclass(frozen=True, eq=False)
        ... class Heatmap(Result):
        ...     KIND = "heatmap"
        ...     TENSOR_FIELDS: ClassVar = {"values": "H W", "mask": "H W"}
        ...     TEXT_FIELDS = ("layer",)
        ...     JSON_FIELDS: ClassVar = {"labels": tuple[str, ...]}
        ...     layer: str
        ...     values: torch.Tensor
        ...     labels: tuple[str, ...]
        ...     recipe: dict
        ...     mask: torch.Tensor | None = None
        ...     def image(self):
        ...         return to_pil_image(self.values[None])
        >>> heatmap = Heatmap("mixed5", torch.rand(4, 4), ("ship", "sea"), {"steps": 8})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     again = Heatmap.load(heatmap.save(f"{folder}/heatmap.png"))
        >>> again.labels, again.recipe, again.complete, torch.equal(again.values, heatmap.values)
        (('ship', 'sea'), {'steps': 8}, True, True)
    """

    KIND: ClassVar[str]
    TEXT_FIELDS: ClassVar[tuple[str, ...]] = ()
    JSON_FIELDS: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    RECIPE_FIELDS: ClassVar[Mapping[str, Any]] = MappingProxyType({})

    if TYPE_CHECKING:  # at runtime a property here would be taken for the default of the dataclass's field

        @property
        def recipe(self) -> Mapping[str, Any]:
            """Everything that computed the result, in JSON types."""

    @abstractmethod
    def image(self) -> Image.Image:
        """The whole result as one Pillow image, which `save` writes."""

    def figure(self, ax: Axes | None = None) -> Figure:
        """The result as a figure of matplotlib, for `figure().savefig("paper.pdf")`.

        Args:
            ax: axes to draw on; those of a new figure by default.
        """
        return plot_image(self.image(), ax)

    def show(self) -> None:
        """Show the result: in the cell of a notebook, else its image in the viewer of this machine.

        Where there is no viewer, a warning says so.
        """
        from PIL import ImageShow

        if runs_in_kernel():
            sys.modules["IPython.display"].display(self)
        elif not ImageShow.show(self.image()):
            warn_user("no viewer of images on this machine; write the image to a file: .save('image.png')")

    @property
    def complete(self) -> bool:
        """False where the computation was interrupted."""
        return not self.recipe.get("interrupted", False)

    def to_dict(self) -> dict[str, Any]:
        """The result in JSON types: its kind, its fields, and the shape and dtype of each tensor."""
        values = {name: getattr(self, name) for name in self.TEXT_FIELDS} | self._json_values()
        tensors = {
            name: {"shape": list(tensor.shape), "dtype": str(tensor.dtype).removeprefix("torch.")}
            for name, tensor in self._tensors().items()
        }
        parts = {KIND: self.KIND, "complete": self.complete, **values, "tensors": tensors, RECIPE: dict(self.recipe)}
        return cast(dict[str, Any], json.loads(to_json(parts)))

    def save(self, path: str | Path) -> Path:
        """Write the image as PNG with the recipe in it, or the figure as SVG or PDF, and beside it the tensors.

        Each file is written atomically. A saver that is killed leaves the tensors without a picture at worst, and never
        beside that of an earlier result.

        Args:
            path: ends in .png, .svg or .pdf; missing folders are created.

        Returns:
            The path.

        Raises:
            ValueError: the path has another suffix.
            FileExistsError: one of the two files exists and holds something else than such a result.
            OSError: the folder cannot be written.
        """
        target = picture_path(path)
        check_own_files(self._kinds(target))  # before anything is drawn
        files = self._files(target)
        ensure_dir(target.parent)
        write_own_files(files)
        return target

    @classmethod
    def check_target(cls, path: str | Path) -> None:
        """Check, before a result is computed, that `save` can write it to a path.

        Raises:
            ValueError, FileExistsError: as in `save`.
        """
        check_own_files(cls._kinds(picture_path(path)))

    @classmethod
    def _kinds(cls, target: Path) -> dict[Path, str]:
        """The files that `save` writes for each result, and what they hold; see `read_kind`."""
        return {target.with_suffix(TENSOR_SUFFIX): cls.KIND, target: cls.KIND}

    def _files(self, target: Path) -> dict[Path, tuple[str, bytes]]:
        """All files that `save` writes: what each holds, and its bytes."""
        return {
            target.with_suffix(TENSOR_SUFFIX): (self.KIND, self._serialize()),
            target: (self.KIND, self._draw(target)),
        }

    def _draw(self, target: Path) -> bytes:
        """The image as PNG, or the figure in the format that the path's suffix names."""
        vector = VECTOR_FORMATS.get(target.suffix.casefold())
        if vector is None:
            return encode_png(self.image(), to_json(dict(self.recipe)), self.KIND)
        name, place = vector
        return encode_figure(self.figure(), name, {place: f"{OWN}{self.KIND}"})

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote.

        Args:
            path: of the image, or of the tensors beside it.

        Raises:
            FileNotFoundError: there is no file with the tensors.
            ValueError: the file is damaged, or holds something else; the message names the file and what is wrong.
        """
        return cls._load(path)

    @classmethod
    def _load(cls, path: str | Path, **more: Any) -> Self:
        """The same, for results with fields that their file does not hold: `more` are their values."""
        given = Path(path)
        target = given.with_suffix(TENSOR_SUFFIX) if given.name else given
        hint = f": the tensors of a saved {cls.KIND} lie beside its PNG"
        return read_tensor_file(target, cls.KIND, partial(cls._from_file, **more), hint)

    def _tensors(self) -> dict[str, Tensor]:
        """All tensors to save, by name."""
        values = {name: getattr(self, name) for name in self.TENSOR_FIELDS}
        return {name: tensor for name, tensor in values.items() if tensor is not None}

    def _json_values(self) -> dict[str, Any]:
        """What is saved for each of `JSON_FIELDS`."""
        return {name: getattr(self, name) for name in self.JSON_FIELDS}

    @classmethod
    def _from_parts(cls, tensors: dict[str, Tensor], values: dict[str, Any]) -> Self:
        """Build the result.

        Args:
            tensors: of the file, by name.
            values: of the other fields, recipe included.

        Raises:
            ValueError: a tensor is missing, or the file has one that the result has no field for.
        """
        unknown = sorted(tensors.keys() - cls.TENSOR_FIELDS.keys())
        if unknown:
            raise ValueError(f"unexpected tensors {', '.join(map(repr, unknown))}")
        optional = {field.name for field in fields(cast(Any, cls)) if field.default is None}
        for name in cls.TENSOR_FIELDS.keys() - tensors.keys() - optional:
            raise ValueError(f"the tensor {name!r} is missing")
        return cls(**tensors, **values)

    @classmethod
    def _from_file(cls, tensors: dict[str, Tensor], header: dict[str, str], **more: Any) -> Self:
        """Check what the file holds, and build the result; `more` are values from elsewhere."""
        if header.get(KIND, cls.KIND) != cls.KIND:  # files without a kind are valid
            raise ValueError(f"it holds the kind of result {header[KIND][:MAX_KIND]!r}; expected {cls.KIND!r}")
        values: dict[str, Any] = {name: restore_surrogates(header[name]) for name in cls.TEXT_FIELDS}
        values |= {name: read_value(hint, parse_json(header[name]), name) for name, hint in cls.JSON_FIELDS.items()}
        values[RECIPE] = cls._read_recipe(parse_json(header[RECIPE]))
        return cls._from_parts(tensors, values | more)

    @classmethod
    def _read_recipe(cls, value: Any) -> Mapping[str, Any]:
        """Check a recipe, and the entries that the result reads."""
        recipe: Mapping[str, Any] = read_value(Mapping[str, Any], value, RECIPE)
        for name, hint in cls.RECIPE_FIELDS.items():
            read_value(hint, recipe[name], f"{RECIPE}[{name!r}]")
        return recipe

    def _serialize(self) -> bytes:
        return encode_tensors(self._tensors(), self._header())

    def _header(self) -> dict[str, str]:
        """The header of the safetensors file: all that is no tensor, as texts."""
        header = {name: getattr(self, name) for name in self.TEXT_FIELDS}
        header |= {name: to_json(value) for name, value in self._json_values().items()}
        return header | {RECIPE: to_json(dict(self.recipe)), KIND: self.KIND}

    def _repr_png_(self) -> bytes:
        return encode_png(self.image())


class PlotResult(Result):
    """A result whose numbers are a plot: it draws itself in `figure`, and its image is that figure in pixels."""

    @abstractmethod
    def figure(self, ax: Axes | None = None) -> Figure: ...

    def image(self) -> Image.Image:
        """The figure in pixels."""
        return draw_pixels(self.figure())


def to_json(value: Any) -> str:
    """JSON text; numbers and arrays of NumPy and torch become plain ones, dataclasses objects."""
    return json.dumps(value, default=lambda value: value.tolist() if hasattr(value, "tolist") else asdict(value))


def picture_path(path: str | Path) -> Path:
    """A path that ends in .png, .svg or .pdf.

    Raises:
        ValueError: it does not.
    """
    target = Path(path)
    if target.suffix.casefold() not in (".png", *VECTOR_FORMATS):
        given = f"give a path ending in .png, or in .svg or .pdf for the figure, not {str(path)!r}"
        raise ValueError(f"saved as an image, with tensors beside it: {given}")
    return target
