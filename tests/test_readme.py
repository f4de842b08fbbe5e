"""Check README.md and the pages under .github/docs: their programs run, their tables are the
package's, and the tests that they name exist.

Blocks marked ``python`` run as they stand, in a folder with photographs, against an emulator; a
block that uses `client` without making one is given one. Blocks marked ``console`` are commands
with what they print; figures, keys and identifiers aside, they must print it again. A line ``...``
stands for any others.
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
from textwrap import indent
from types import CodeType
from typing import Any

import pytest
from PIL import Image

import runware_ws
from runware_ws import RunwareClient, errors
from runware_ws.emulator import Emulator
from tests.cli.conftest import run
from tests.support import reference

ROOT = Path(__file__).parent.parent
PAGES = {
    name: (ROOT / name).read_text(encoding="utf-8")
    for name in (
        "README.md",
        ".github/docs/reference.md",
        ".github/docs/faults.md",
        ".github/CHANGELOG.md",
    )
}
README, REFERENCE, FAULTS, _ = PAGES.values()
MAX_WORDS = 2000
MAX_PICTURE_BYTES = 150_000
WEB_IMAGE = "https://example.com/photo.jpg"
WEBHOOK = "https://example.com/hook"
# What a block may use without saying where it comes from.
GIVEN = """from __future__ import annotations

import asyncio
from pathlib import Path

from runware_ws import RunwareClient
"""


def blocks(language: str, *pages: str) -> list[Any]:
    """Return the blocks in a language, of all pages or some, each as a parameter of a test."""
    found = []
    for name, text in PAGES.items():
        for block in re.finditer(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            line = text.count("\n", 0, block.start()) + 1
            if not pages or name in pages:
                found.append(pytest.param(block[1], id=f"{name}:{line}"))
    return found


def table_after(page: str, heading: str) -> list[list[str]]:
    """Return the rows, without the head, of the first table below a heading."""
    lines = page.partition(f"\n## {heading}\n")[2].splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("|---"))
    rows = []
    for line in lines[start + 1 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


# What is written


def test_the_tables_of_the_reference_are_those_of_the_package() -> None:
    assert reference.filled(REFERENCE) == REFERENCE, "run: python -m tests.support.reference"


def test_the_readme_is_short() -> None:
    assert len(README.split()) < MAX_WORDS


def test_the_tree_of_exceptions_is_that_of_the_package() -> None:
    (tree,) = re.findall(r"^RunwareError\n(?: .*\n)+", errors.__doc__ or "", re.MULTILINE)
    found: dict[int, type] = {}
    for line in tree.splitlines():
        margin, name = re.match(r"( *(?:\+-- )?)(\w+)", line).groups()  # type: ignore[union-attr]  # each line has a name
        cls = getattr(runware_ws, name)
        above = [depth for depth in found if depth < len(margin)]
        assert not above or issubclass(cls, found[max(above)])
        found = {depth: one for depth, one in found.items() if depth < len(margin)}
        found[len(margin)] = cls
    named = set(re.findall(r"\w+Error\b(?! \()|InputError|\w+Error", tree))
    assert {name for name in errors.__all__ if name.endswith("Error")} <= named


def test_each_fault_names_tests_that_exist() -> None:
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")]
    pattern = re.compile(r"^\s*(?:async )?def (test_\w+)", re.MULTILINE)
    present = {name for text in sources for name in pattern.findall(text)}
    rows = table_after(FAULTS, "When things go wrong")
    assert len(rows) >= 20
    for row in rows:
        assert re.findall(r"`(test_\w+)`", row[3]), f"no test: {row[0]}"
    assert set(re.findall(r"`(test_\w+)`", FAULTS)) <= present


def test_no_test_is_named_where_users_read() -> None:
    assert not re.findall(r"`test_\w+`", README + REFERENCE)


def test_each_extra_is_in_the_table() -> None:
    listed = {row[0].strip("`") for row in table_after(README, "Install")} - {"(none)"}
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    section = text.partition("[project.optional-dependencies]")[2].partition("\n[")[0]
    assert listed == set(re.findall(r"^(\w+) = \[", section, re.MULTILINE)) - {"test", "dev"}


@pytest.mark.parametrize("page", PAGES)
def test_each_link_leads_to_a_file_or_a_heading(page: str) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", PAGES[page]):
        path, _, heading = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        assert file.exists(), target
        if heading:
            titles = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            assert heading in map(anchor, titles), target


def anchor(title: str) -> str:
    """Return the anchor that GitHub gives to a heading."""
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def test_the_pictures_are_small() -> None:
    pictures = re.findall(r"!\[.+\]\((.+)\)", README)
    assert pictures
    assert all((ROOT / one).stat().st_size < MAX_PICTURE_BYTES for one in pictures)


@pytest.mark.long
@pytest.mark.timeout(300)
def test_the_programs_pass_a_strict_type_checker(tmp_path: Path) -> None:
    for number, block in enumerate(blocks("python")):
        (tmp_path / f"block_{number}.py").write_text(as_module(block.values[0]), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def as_module(code: str) -> str:
    """Return a block as a module: inside a function, if it needs `client` or awaits."""
    if compiled(code).co_flags & inspect.CO_COROUTINE:
        code = f"async def block(client: RunwareClient) -> None:\n{indent(code, '    ')}"
    return f"{GIVEN}\n{code}"


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


@pytest.mark.parametrize("code", blocks("python"))
def test_each_program_runs(
    code: str, folder: Path, emulator: Emulator, hook: tuple[str, list[bytes]]
) -> None:
    if "import trio" in code and importlib.util.find_spec("trio") is None:
        pytest.skip("the extra `trio` is not installed")
    if WEB_IMAGE in code:
        code = code.replace(WEB_IMAGE, served_image(emulator))
    url, taken = hook
    names = play(code.replace(WEBHOOK, url))
    assert emulator.requests or "Emulator(" in code or "app" in names
    if '"large"' in code:
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


def commands() -> list[Any]:
    """Return each command with what it prints, as parameters of a test."""
    found = []
    for block in blocks("console"):
        for part in re.split(r"^\$ ", block.values[0], flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            found.append(pytest.param(command, output, id=command))
    return found


def plain(output: str) -> list[str]:
    """The lines without what is different each time, in whatever order they came."""
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UUID", output)
    text = re.sub(r"^results: .*", "results:", text, flags=re.MULTILINE)
    text = re.sub(r"(RUNWARE_API_KEY=).*", r"\1KEY", text)
    return sorted(line for line in re.sub(r"\d+(\.\d+)?", "N", text).splitlines() if line.strip())


def emulate(arguments: list[str], count: int) -> str:
    """Return so many lines of an emulator, which runs until it is stopped."""
    command = [sys.executable, "-m", "runware_ws", "emulate", *arguments]
    command += ["--port", "0"]  # its own may be taken
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8"
    ) as process:
        assert process.stdout is not None
        shown = ""
        while len(plain(shown)) < count and (line := process.stdout.readline()):
            shown += line
        process.terminate()
        process.stdout.read()
    return shown


@pytest.mark.parametrize(("command", "output"), commands())
def test_each_command_prints_what_it_says(command: str, output: str, folder: Path) -> None:
    program, *arguments = shlex.split(command)
    assert program == "runware-ws"
    expected = plain(output)
    if arguments[0] == "emulate":
        printed = plain(emulate(arguments[1:], len(expected)))
    else:
        done = run(*arguments)
        assert done.status == 0
        printed = plain(done.output)
    if "..." in expected:
        expected.remove("...")
        assert set(expected) <= set(printed)
    else:
        assert printed == expected
