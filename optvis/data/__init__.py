"""Images in any form: files, folders, arrays, tensors, datasets."""

from optvis.arguments import check_package
from optvis.data.crop import ResizeCrop
from optvis.data.dataset import ImageDataset
from optvis.data.folders import list_images
from optvis.data.images import ImageLike, load_batch, load_image
from optvis.data.sources import as_dataset

__all__ = [
    "ImageDataset",
    "ImageLike",
    "ResizeCrop",
    "as_dataset",
    "list_images",
    "load_batch",
    "load_image",
]

check_package(__name__)
