"""Receive results as webhooks: answer at once, work afterwards, and process each result once.

python examples/webhooks.py [FOLDER]

It submits a folder and ends when the webhook of each image has come. For the real service, set PORT
to the port to listen on, and PUBLIC_URL to an address that leads to it, such as that of a tunnel.
"""

import asyncio
import os
import secrets
import socket
import sys
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from runware_ws import ProtocolError, RunwareClient, TaskError, UpscaleResult
from runware_ws.emulator import Emulator
from runware_ws.webhooks import Deliveries, has_secret, parse_all, with_secret

HERE = Path(__file__).parent


class Receiver:
    """Puts deliveries into a queue. A program that must not lose any would use a database."""

    def __init__(self) -> None:
        self.secret = secrets.token_urlsafe()
        self.queue: asyncio.Queue[UpscaleResult | TaskError] = asyncio.Queue()
        self._deliveries = Deliveries()
        self.app = Starlette(routes=[Route("/hook", self.receive, methods=["POST"])])

    async def receive(self, request: Request) -> Response:
        """Answer within the five seconds that the service waits. Nothing slow may be done here."""
        if not has_secret(str(request.url), self.secret):
            return Response(status_code=403)
        try:
            outcomes = parse_all(await request.body())
        except ProtocolError:
            return Response(status_code=400)
        for outcome in outcomes:
            if self._deliveries.take(outcome):
                self.queue.put_nowait(outcome)
        return Response(status_code=202)


async def work(receiver: Receiver, names: dict[str, str]) -> None:
    """Do the slow work once for each result."""
    for _ in range(len(names)):
        outcome = await receiver.queue.get()
        name = names[outcome.task_uuid or ""]
        if isinstance(outcome, TaskError):
            print(f"{name}: {outcome}")
        else:
            print(f"{name} -> {await outcome.save(Path('upscaled') / Path(name).stem)}")


async def main(images: list[Path]) -> None:
    receiver = Receiver()
    listening = socket.create_server(("127.0.0.1", int(os.environ.get("PORT", "0"))))
    local_url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    public_url = os.environ.get("PUBLIC_URL", local_url)
    server = uvicorn.Server(uvicorn.Config(receiver.app, log_level="warning", lifespan="off"))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    async with RunwareClient(max_retries=0) as client:  # or a retry would have another taskUUID
        hook = with_secret(f"{public_url}/hook", receiver.secret)
        tasks = [await client.submit(image, webhook_url=hook) for image in images]
        names = {task.task_uuid: image.name for task, image in zip(tasks, images, strict=True)}
        await work(receiver, names)
    server.should_exit = True
    await serving


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    photographs = [path for path in sorted(folder.iterdir()) if path.suffix in (".jpg", ".png")]
    if "RUNWARE_API_KEY" in os.environ:
        asyncio.run(main(photographs))
    else:
        print("RUNWARE_API_KEY is not set: using an emulator (Lanczos stands in for the model)")
        with Emulator() as emulator:
            os.environ |= {"RUNWARE_URL": emulator.url, "RUNWARE_API_KEY": emulator.api_key}
            asyncio.run(main(photographs))
