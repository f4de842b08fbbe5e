"""A persistent WebSocket client for the Runware upscale API (Real-ESRGAN).

async with RunwareClient() as client:
    result = await client.upscale(Path("photo.jpg"), upscale_factor=4)
    await result.save("photo-large")
"""

from ._version import __version__
from .batch import Outcome
from .client import RunwareClient
from .errors import (
    AuthenticationError,
    ClientClosedError,
    ConnectionLostError,
    ContentPolicyError,
    DownloadError,
    InputError,
    InsufficientCreditsError,
    JournalError,
    MissingExtraError,
    PermissionDeniedError,
    ProtocolError,
    ProviderError,
    RateLimitError,
    ResultLostError,
    RunwareError,
    ServerError,
    TaskCancelledError,
    TaskError,
    TaskNotFoundError,
    TaskTimeoutError,
    ValidationError,
)
from .inputs import Image
from .options import UpscaleOptions
from .protocol.effects import Event
from .results import UpscaleResult
from .stats import Stats
from .task import UpscaleTask

__all__ = [
    "AuthenticationError",
    "ClientClosedError",
    "ConnectionLostError",
    "ContentPolicyError",
    "DownloadError",
    "Event",
    "Image",
    "InputError",
    "InsufficientCreditsError",
    "JournalError",
    "MissingExtraError",
    "Outcome",
    "PermissionDeniedError",
    "ProtocolError",
    "ProviderError",
    "RateLimitError",
    "ResultLostError",
    "RunwareClient",
    "RunwareError",
    "ServerError",
    "Stats",
    "TaskCancelledError",
    "TaskError",
    "TaskNotFoundError",
    "TaskTimeoutError",
    "UpscaleOptions",
    "UpscaleResult",
    "UpscaleTask",
    "ValidationError",
    "__version__",
]
