"""Pictures of any size: cut into tiles, upscaled side by side, and put together without seams.

    result = await client.upscale_large(Path("map.tif"), factor=4, output="map-large.tif")

It needs Pillow. With the extra ``large`` (pyvips), pictures that are larger than the memory are
read and written in strips, and the output may be a DeepZoom pyramid (``.dzi``). See
`RunwareClient.upscale_large` for what is kept of a picture.
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
