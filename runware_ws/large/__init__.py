"""Upscale pictures of any size: in overlapping tiles, which are joined without seams.

    result = await client.upscale_large(Path("map.tif"), factor=4, output="map-large.tif")

It needs Pillow. With the extra ``large`` (pyvips), pictures that are larger than the memory are
read and written in strips, and the output may be a DeepZoom pyramid (``.dzi``). See
`RunwareClient.upscale_large` for the properties of a picture that are kept.
"""

from ..errors import MissingExtraError

try:
    import PIL  # noqa: F401
except ImportError:
    raise MissingExtraError("upscale_large", "large") from None

from ..tiling import LargePlan, LargeResult
from .planning import plan
from .upscaling import upscale_large

__all__ = ["LargePlan", "LargeResult", "plan", "upscale_large"]
