"""Check README.md: its programs run, its tables are the package's, its tests exist.

Blocks marked ``python`` run as they stand, in a folder with photographs, against an emulator; a
block that uses `client` without making one is given one. Blocks marked ``console`` are commands
with what they print; figures, keys and identifiers aside, they must print it again.
"""

from __future__ import annotations

import ast
import asyncio
import importlib.util
import inspect
import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import CodeType
from typing import Any

import pytest
from PIL import Image

import runware_ws
from runware_ws import RunwareClient, errors
from runware_ws.emulator import Emulator
from runware_ws.protocol.request import MEMBERS, Member

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
WEB_IMAGE = "https://example.com/photo.jpg"
WEBHOOK = "https://example.com/hook"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def table_after(heading: str) -> list[list[str]]:
    """The rows, without the head, of the first table below a heading."""
    lines = README.partition(f"\n## {heading}\n")[2].splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("|---"))
    rows = []
    for line in lines[start + 1 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


# What stands in tables


def values_of(member: Member) -> str:
    """Return what a member may be, in words."""
    if member.choices:
        text = ", ".join(f"`{choice!r}`".replace("'", '"') for choice in member.choices)
    elif member.minimum is not None:
        end = "or more" if member.maximum is None else f"to {member.maximum}"
        text = f"{member.minimum} {end}"
    elif member.form:
        text = {"uuid4": "a UUID v4", "uri": "an http(s) URL"}[member.form]
    else:
        text = "`True`, `False`"
    if member.only_with is not None:
        wire, value = member.only_with
        (other,) = (one.name for one in MEMBERS if one.wire == wire)
        text += f', only with `{other}="{value}"`'
    return text


def row_of(member: Member) -> list[str]:
    default = "" if member.default is None else f"`{member.default!r}`".replace("'", '"')
    return [f"`{member.name}`", values_of(member), default, member.description.rstrip(".")]


def test_the_table_of_options_is_that_of_the_request() -> None:
    assert table_after("Request options") == [row_of(member) for member in MEMBERS]


def shown(default: Any) -> str:
    if isinstance(default, int) and default and default % 2**20 == 0:
        return f"{default // 2**20} MiB"
    if isinstance(default, int) and default and default % 2**10 == 0:
        return f"{default // 2**10} KiB"
    if isinstance(default, str):
        return f'`"{default}"`'
    if isinstance(default, int | float) and not isinstance(default, bool):
        return f"{default:g}"
    return f"`{default}`"


def test_the_table_of_settings_is_that_of_the_client() -> None:
    parameters = inspect.signature(RunwareClient).parameters.values()
    expected = [[f"`{one.name}`", shown(one.default)] for one in parameters]
    assert [row[:2] for row in table_after("Settings")] == expected


def test_the_tree_of_exceptions_is_that_of_the_package() -> None:
    (tree,) = (block for block in blocks("text") if block.startswith("RunwareError\n"))
    assert tree.strip() in (errors.__doc__ or "")
    found: dict[int, type] = {}
    for line in tree.splitlines():
        indent, name = re.match(r"( *(?:\+-- )?)(\w+)", line).groups()  # type: ignore[union-attr]  # each line has a name
        cls = getattr(runware_ws, name)
        above = [depth for depth in found if depth < len(indent)]
        assert not above or issubclass(cls, found[max(above)])
        found = {depth: one for depth, one in found.items() if depth < len(indent)}
        found[len(indent)] = cls
    named = set(re.findall(r"\w+Error\b(?! \()|InputError|\w+Error", tree))
    assert {name for name in errors.__all__ if name.endswith("Error")} <= named


def test_each_fault_names_tests_that_exist() -> None:
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")]
    pattern = re.compile(r"^\s*(?:async )?def (test_\w+)", re.MULTILINE)
    present = {name for text in sources for name in pattern.findall(text)}
    rows = table_after("When things go wrong")
    assert len(rows) >= 20
    for row in rows:
        assert re.findall(r"`(test_\w+)`", row[3]), f"no test: {row[0]}"
    assert set(re.findall(r"`(test_\w+)`", README)) <= present


def test_each_extra_is_in_the_table() -> None:
    listed = {row[0].strip("`") for row in table_after("Install")} - {"(none)"}
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    section = text.partition("[project.optional-dependencies]")[2].partition("\n[")[0]
    assert listed == set(re.findall(r"^(\w+) = \[", section, re.MULTILINE)) - {"dev"}


def test_each_file_that_is_linked_is_there() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", README):
        assert (ROOT / target).exists(), target


# What runs


class Hook(BaseHTTPRequestHandler):
    """Takes whatever is POSTed."""

    taken: list[bytes]

    def do_POST(self) -> None:
        self.taken.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def hook() -> Iterator[tuple[str, list[bytes]]]:
    taken: list[bytes] = []
    handler = type("OneHook", (Hook,), {"taken": taken})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/hook", taken
        server.shutdown()
        thread.join()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with photographs, which is the current one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for name in ("photo.jpg", "photos/cat.jpg", "photos/coffee.jpg", "photos/rocket.jpg"):
        Image.new("RGB", (12, 8), "teal").save(tmp_path / name)
    return tmp_path


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """An emulator that the environment names."""
    with Emulator() as running:
        monkeypatch.setenv("RUNWARE_URL", running.url)
        monkeypatch.setenv("RUNWARE_API_KEY", running.api_key)
        yield running


def compiled(code: str) -> CodeType:
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    made = compile(code, "README.md", "exec", flags=flags, dont_inherit=True)
    assert isinstance(made, CodeType)
    return made


def play(code: str) -> dict[str, Any]:
    """Run a block. What it has defined."""
    made = compiled(code)
    names: dict[str, Any] = {"Path": Path, "RunwareClient": RunwareClient, "asyncio": asyncio}
    if not made.co_flags & inspect.CO_COROUTINE:
        exec(made, names)
        return names

    async def with_client() -> None:
        async with RunwareClient() as client:
            names["client"] = client
            running: Coroutine[Any, Any, None] = eval(made, names)
            await running

    asyncio.run(with_client())
    return names


def served_image(emulator: Emulator) -> str:
    """The address of an image, as it stands in for one on the web."""
    result = play("result = await client.upscale(Path('photo.jpg'))")["result"]
    assert isinstance(result.image_url, str)
    return result.image_url


@pytest.mark.parametrize("number", range(len(blocks("python"))))
def test_each_program_runs(
    number: int, folder: Path, emulator: Emulator, hook: tuple[str, list[bytes]]
) -> None:
    code = blocks("python")[number]
    if "import trio" in code and importlib.util.find_spec("trio") is None:
        pytest.skip("the extra `trio` is not installed")
    if WEB_IMAGE in code:
        code = code.replace(WEB_IMAGE, served_image(emulator))
    url, taken = hook
    names = play(code.replace(WEBHOOK, url))
    assert emulator.executions or "Emulator(" in code or "app" in names
    if 'Path("large")' in code:
        assert len(list((folder / "large").iterdir())) == 3
    if WEBHOOK in code:
        wait_until(lambda: bool(taken))
        assert names["result"].task_uuid.encode() in taken[0]
    if "app" in names:
        assert_upscales(names["app"], emulator)


def wait_until(condition: Callable[[], bool]) -> None:
    signal = threading.Event()
    for _ in range(500):
        if condition():
            return
        signal.wait(0.01)
    raise AssertionError("it did not happen")


def assert_upscales(app: Any, emulator: Emulator) -> None:
    """The web application of the README takes an image and answers with a link."""
    import httpx

    image = Path("photo.jpg").read_bytes()

    async def use() -> httpx.Response:
        async with app.router.lifespan_context(app) as state:

            async def with_state(scope: Any, receive: Any, send: Any) -> None:
                await app({**scope, "state": dict(state)}, receive, send)

            transport = httpx.ASGITransport(app=with_state)
            async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
                return await client.post("/upscale", content=image)

    answer = asyncio.run(use())
    assert answer.json()["url"].startswith(emulator.http_url)


def commands() -> list[tuple[str, str]]:
    """Each command of the README with what it prints."""
    found: list[tuple[str, str]] = []
    for block in blocks("console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            found.append((command, output))
    return found


def plain(output: str) -> list[str]:
    """The lines without what is different each time, in whatever order they came."""
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UUID", output)
    text = re.sub(r"^results: .*", "results:", text, flags=re.MULTILINE)
    text = re.sub(r"(RUNWARE_API_KEY=).*", r"\1KEY", text)
    return sorted(line for line in re.sub(r"\d+(\.\d+)?", "N", text).splitlines() if line.strip())


@pytest.mark.parametrize("number", range(len(commands())))
def test_each_command_prints_what_it_says(number: int, folder: Path) -> None:
    command, output = commands()[number]
    program, *arguments = shlex.split(command)
    assert program == "runware-ws"
    if arguments[0] == "emulate":
        arguments += ["--port", "0"]  # its own may be taken
    start = [sys.executable, "-m", "runware_ws", *arguments]
    expected = plain(output)
    with subprocess.Popen(
        start, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8"
    ) as process:
        assert process.stdout is not None
        if arguments[0] == "emulate":  # it runs until it is stopped
            lines: list[str] = []
            while len(plain("".join(lines))) < len(expected) and (
                line := process.stdout.readline()
            ):
                lines.append(line)
            process.terminate()
            process.stdout.read()
        else:
            lines = process.stdout.readlines()
            assert process.wait() == 0
    assert plain("".join(lines)) == expected
