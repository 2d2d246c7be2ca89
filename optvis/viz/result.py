"""The base class of results: shown as an image, saved as PNG and safetensors, loaded again."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

from torch import Tensor

from optvis.data.files import atomic_write, ensure_dir
from optvis.viz.sheet import encode_png

if TYPE_CHECKING:
    from PIL import Image

KIND = "kind"  # the key of the header that names the kind of result
RECIPE = "recipe"
TENSOR_SUFFIX = ".safetensors"


class Result(ABC):
    """Something computed from a network, with the recipe that computed it: a mixin for frozen dataclasses.

    `save` writes two files: a PNG of `image()` with the recipe in its text chunk "optvis", and beside it a safetensors
    file with all tensors, whose header holds the recipe and the other fields as JSON. `load` reads the tensors and
    builds the same result; it checks the file first.

    A subclass is a frozen dataclass with a field `recipe`. It states its kind and its fields in class variables, and
    draws itself in `image`. That is all where each field is a tensor, a text, or JSON:

    Attributes:
        KIND: what the result is, a noun; it is written into files and named in error messages.
        TENSOR_FIELDS: number of axes of each field that is a tensor; None for any number. A field whose default is
            None may be None, and is then left out of the file.
        TEXT_FIELDS: fields that are texts.
        JSON_FIELDS: for each other field, the function that builds its value from what JSON holds; it raises any
            `ValueError`, `TypeError` or `KeyError` for something else.

    A subclass with other fields (a mapping of tensors, a nested dataclass) overrides `_tensors`, `_json_values` and
    `_from_parts`.

    Example:
        >>> import tempfile
        >>> import torch
        >>> from dataclasses import dataclass
        >>> from optvis.viz import to_pil_image
        >>> @dataclass(frozen=True, eq=False)
        ... class Heatmap(Result):
        ...     KIND = "heatmap"
        ...     TENSOR_FIELDS: ClassVar = {"values": 2, "mask": 2}
        ...     TEXT_FIELDS = ("layer",)
        ...     JSON_FIELDS: ClassVar = {"labels": read_texts}
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
    TENSOR_FIELDS: ClassVar[Mapping[str, int | None]] = MappingProxyType({})
    TEXT_FIELDS: ClassVar[tuple[str, ...]] = ()
    JSON_FIELDS: ClassVar[Mapping[str, Callable[[Any], Any]]] = MappingProxyType({})

    if TYPE_CHECKING:  # at runtime a property here would be taken for the default of the dataclass's field

        @property
        def recipe(self) -> Mapping[str, Any]:
            """Everything that computed the result, in JSON types."""

    @abstractmethod
    def image(self) -> Image.Image:
        """The whole result as one Pillow image, which `save` writes."""

    def figure(self) -> Image.Image:
        """The plot of the result's numbers; of a result without numbers to plot, its image."""
        return self.image()

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
        """Write the image as PNG with the recipe in it, and the tensors as safetensors beside it.

        Each file is written atomically.

        Args:
            path: of the PNG; missing folders are created.

        Returns:
            The path of the PNG.

        Raises:
            ValueError: the path does not end in .png.
            OSError: the folder cannot be written.
        """
        target = png_path(path)
        image, tensors = encode_png(self.image(), to_json(dict(self.recipe))), self._serialize()
        ensure_dir(target.parent)
        atomic_write(target.with_suffix(TENSOR_SUFFIX), tensors)
        return atomic_write(target, image)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote.

        Args:
            path: of the PNG, or of the tensors beside it.

        Raises:
            FileNotFoundError: there is no file with the tensors.
            ValueError: the file is damaged, or holds something else.
        """
        from safetensors import SafetensorError

        target = Path(path).with_suffix(TENSOR_SUFFIX)
        if not target.is_file():
            raise FileNotFoundError(f"no file {str(target)!r}: the tensors of a saved {cls.KIND} lie beside its PNG")
        try:
            tensors, header = _read_safetensors(target)
            if KIND not in header or header[KIND] == cls.KIND:  # files without a kind are valid
                return cls._from_file(tensors, header)
        except (SafetensorError, LookupError, AttributeError, TypeError, ValueError, RuntimeError) as error:
            reason = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else error
            raise ValueError(f"{str(target)!r} is damaged or holds no {cls.KIND}: {reason}") from error
        raise ValueError(f"{str(target)!r} holds the kind of result {header[KIND]!r}; expected {cls.KIND!r}")

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
            tensors: of the file, by name; those of `TENSOR_FIELDS` have been checked.
            values: of the other fields, recipe included.

        Raises:
            ValueError: the file has a tensor that the result has no field for.
        """
        unknown = sorted(tensors.keys() - cls.TENSOR_FIELDS.keys())
        if unknown:
            raise ValueError(f"unexpected tensors {', '.join(map(repr, unknown))}")
        return cls(**tensors, **values)

    @classmethod
    def _from_file(cls, tensors: dict[str, Tensor], header: dict[str, str]) -> Self:
        """Check what the file holds, and build the result."""
        optional = {field.name for field in fields(cast(Any, cls)) if field.default is None}
        for name, axes in cls.TENSOR_FIELDS.items():
            if name not in tensors and name not in optional:
                raise ValueError(f"the tensor {name!r} is missing")
            if name in tensors and axes not in (None, tensors[name].dim()):
                raise ValueError(f"{name!r} has shape {tuple(tensors[name].shape)}; expected {axes} axes")
        values: dict[str, Any] = {name: header[name] for name in cls.TEXT_FIELDS}
        values |= {name: build(json.loads(header[name])) for name, build in cls.JSON_FIELDS.items()}
        return cls._from_parts(tensors, values | {RECIPE: read_mapping(json.loads(header[RECIPE]))})

    def _serialize(self) -> bytes:
        from safetensors.torch import save

        # A view is copied, so that not its whole storage is written.
        return save({name: tensor.contiguous().clone() for name, tensor in self._tensors().items()}, self._header())

    def _header(self) -> dict[str, str]:
        """The header of the safetensors file: all that is no tensor, as texts."""
        header = {name: getattr(self, name) for name in self.TEXT_FIELDS}
        header |= {name: to_json(value) for name, value in self._json_values().items()}
        return header | {RECIPE: to_json(dict(self.recipe)), KIND: self.KIND}

    def _repr_png_(self) -> bytes:
        return encode_png(self.image())


def to_json(value: Any) -> str:
    """JSON text; numbers and arrays of NumPy and torch become plain ones, dataclasses objects."""
    return json.dumps(value, default=lambda value: value.tolist() if hasattr(value, "tolist") else asdict(value))


def read_mapping(value: Any) -> dict[str, Any]:
    """A JSON object, as it is.

    Raises:
        TypeError: something else.
    """
    if not isinstance(value, dict):
        raise TypeError(f"expected a JSON object, got {value!r}")
    return value


def read_texts(value: Any) -> tuple[str, ...]:
    """A JSON list of texts as a tuple.

    Raises:
        TypeError: something else.
    """
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise TypeError(f"expected a list of texts, got {value!r}")
    return tuple(value)


def png_path(path: str | Path) -> Path:
    """A path that ends in .png.

    Raises:
        ValueError: it does not.
    """
    target = Path(path)
    if target.suffix.casefold() != ".png":
        raise ValueError(f"saved as PNG, with tensors beside it: give a path ending in .png, not {str(path)!r}")
    return target


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        header = file.metadata() or {}
        return {name: file.get_tensor(name) for name in file.keys()}, header  # noqa: SIM118, no mapping
