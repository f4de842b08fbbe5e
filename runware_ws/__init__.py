"""A persistent WebSocket client for the Runware upscale API (Real-ESRGAN).

async with RunwareClient() as client:
    result = await client.upscale(Path("photo.jpg"), upscale_factor=4)
    await result.save("photo-large")
"""

import logging

from ._version import __version__
from .batch import Failure, Outcome, Outcomes, Success
from .client import RunwareClient
from .errors import (
    AuthenticationError,
    BudgetError,
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
    SaveError,
    ServerError,
    TaskCancelledError,
    TaskError,
    TaskNotFoundError,
    TaskTimeoutError,
    ValidationError,
)
from .events import Events
from .inputs import Image
from .journal.recovery import Recovered
from .options import DeliveryMethod, OutputFormat, OutputType, UpscaleFactor, UpscaleOptions
from .protocol.effects import Event, EventKind
from .protocol.reconnector import ClientState
from .reporting import report
from .results import UpscaleResult
from .runtime.api_key import KeyFunction
from .stats import Stats
from .task import TaskState, UpscaleTask
from .tiling import LargePlan, LargeResult

__all__ = [
    "AuthenticationError",
    "BudgetError",
    "ClientClosedError",
    "ClientState",
    "ConnectionLostError",
    "ContentPolicyError",
    "DeliveryMethod",
    "DownloadError",
    "Event",
    "EventKind",
    "Events",
    "Failure",
    "Image",
    "InputError",
    "InsufficientCreditsError",
    "JournalError",
    "KeyFunction",
    "LargePlan",
    "LargeResult",
    "MissingExtraError",
    "Outcome",
    "Outcomes",
    "OutputFormat",
    "OutputType",
    "PermissionDeniedError",
    "ProtocolError",
    "ProviderError",
    "RateLimitError",
    "Recovered",
    "ResultLostError",
    "RunwareClient",
    "RunwareError",
    "SaveError",
    "ServerError",
    "Stats",
    "Success",
    "TaskCancelledError",
    "TaskError",
    "TaskNotFoundError",
    "TaskState",
    "TaskTimeoutError",
    "UpscaleFactor",
    "UpscaleOptions",
    "UpscaleResult",
    "UpscaleTask",
    "ValidationError",
    "__version__",
    "report",
]

# A program that has not configured logging sees nothing of it.
logging.getLogger(__name__).addHandler(logging.NullHandler())
