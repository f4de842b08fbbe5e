"""Test which images the arguments name, and how their results are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from runware_ws import InputError
from runware_ws.cli.errors import UsageError
from runware_ws.cli.inputs import ImageFinder, Tally, listed
from runware_ws.cli.names import format_of


def touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def named(*arguments: str, out: str = "out", recursive: bool = False) -> list[tuple[str, str]]:
    """Return each image with the name of its result."""
    finder = ImageFinder(arguments, Path(out), recursive)
    return [(str(image.source), image.output.as_posix()) for image in finder.find()]


def skipped(*arguments: str, out: str = "out", recursive: bool = False) -> list[str]:
    """Return the messages about skipped files."""
    tally = Tally()
    list(ImageFinder(arguments, Path(out), recursive).find(tally))
    return list(tally.lines("skipped {names} ({reason})"))


@pytest.fixture(autouse=True)
def _in_an_empty_folder(folder: Path) -> None:
    pass


def test_a_result_is_named_after_its_file() -> None:
    touch("photo.png", "a/other.bmp", "no-ending")
    assert named("photo.png", "a/other.bmp", "no-ending") == [
        ("photo.png", "photo.png.jpg"),
        ("a/other.bmp", "other.bmp.jpg"),
        ("no-ending", "no-ending.jpg"),
    ]


def test_a_folder_stands_for_its_images_sorted_by_name() -> None:
    touch("in/b.jpg", "in/a.PNG", "in/c.webp", "in/d.jpeg", "in/.hidden.jpg", "in/read.me")
    assert [image for image, _ in named("in")] == ["in/a.PNG", "in/b.jpg", "in/c.webp", "in/d.jpeg"]
    assert skipped("in") == ["skipped in/read.me (not a JPG, PNG or WEBP file)"]


def test_subfolders_are_skipped_without_recursive() -> None:
    touch("in/a.jpg", "in/sub/b.jpg")
    assert named("in") == [("in/a.jpg", "a.jpg")]
    assert skipped("in") == ["skipped in/sub (a subfolder; --recursive includes it)"]


def test_recursive_keeps_the_structure_of_the_folders() -> None:
    touch("in/z.jpg", "in/sub/a.jpg", "in/sub/deep/a.jpg", "in/.git/a.jpg")
    assert named("in", recursive=True) == [
        ("in/z.jpg", "z.jpg"),
        ("in/sub/a.jpg", "sub/a.jpg"),
        ("in/sub/deep/a.jpg", "sub/deep/a.jpg"),
    ]


def test_a_link_to_a_folder_is_not_followed() -> None:
    touch("in/a.jpg")
    Path("in/circle").symlink_to(Path("in").resolve())
    assert named("in", recursive=True) == [("in/a.jpg", "a.jpg")]
    assert skipped("in", recursive=True) == ["skipped in/circle (a link to a folder)"]


def test_a_name_does_not_depend_on_what_else_is_in_the_folder() -> None:
    touch("in/shot.png", "in/shot.jpeg", "in/shot.JPG", "in/shot.webp")
    names = {"shot.png.jpg", "shot.jpeg", "shot.JPG", "shot.webp.jpg"}
    together = dict(named("in"))
    assert set(together.values()) == names
    for image, name in together.items():
        assert named(image) == [(image, name)]


@pytest.mark.parametrize(
    ("arguments", "name", "remedy"),
    [
        (("a/photo.jpg", "b/photo.jpg"), "photo.jpg", "use a --name such as '{parent}-{name}'"),
        (("a/photo.jpg", "b/Photo.jpg"), "Photo.jpg", "use a --name"),
        (("a/photo.png", "b/photo.png.jpg"), "photo.png.jpg", "use a --name"),
        (("http://a/x.jpg", "http://b/x.jpg"), "x.jpg", "start the command for each"),
    ],
)
def test_two_results_of_one_name_are_refused(
    arguments: tuple[str, str], name: str, remedy: str
) -> None:
    touch(*(one for one in arguments if "://" not in one))
    with pytest.raises(UsageError) as refusal:
        named(*arguments)
    first, second = arguments
    assert str(refusal.value).startswith(f"{first} and {second} would both become {name}; {remedy}")


@pytest.mark.parametrize(
    ("template", "output_format", "name"),
    [
        ("{stem}-{factor}x", None, "photo-2x.jpg"),
        ("{stem}-{factor:02}", None, "photo-02.jpg"),
        ("{name}", "JPG", "photo.png.jpg"),
        ("{name}", "PNG", "photo.png"),
        ("{name}", "SAME", "photo.png"),
        ("{parent}-{stem}.{ext}", "WEBP", "in-photo.png.webp"),
        ("{format}/{stem}.JPEG", "JPG", "jpg/photo.JPEG"),
    ],
)
def test_a_template_makes_the_name(template: str, output_format: str | None, name: str) -> None:
    touch("in/photo.png")
    finder = ImageFinder(
        ["in/photo.png"], Path("out"), template=template, factor=2, output_format=output_format
    )
    assert [image.output.as_posix() for image in finder.find()] == [name]


@pytest.mark.parametrize(
    "template",
    ["", "/", "/tmp/{stem}", "../{stem}", "{stem", "{size}", "{stem:x}", "{stem!r}", "{}"],
)
def test_a_template_that_leads_elsewhere_or_nowhere_is_refused(template: str) -> None:
    with pytest.raises(InputError, match=r"^name: .*use \{name\}, \{stem\}"):
        ImageFinder([], Path("out"), template=template)


@pytest.mark.parametrize(
    ("source", "output_format"),
    [
        ("a.jpeg", "JPG"),
        ("a.PNG", "PNG"),
        ("a.webp", "WEBP"),
        ("a.bmp", "PNG"),
        ("http://a/b.webp?x", "WEBP"),
        ("http://a/b", "JPG"),
    ],
)
def test_the_same_format_is_that_of_the_input(source: str, output_format: str) -> None:
    image = source if "://" in source else Path(source)
    assert format_of(image, "SAME") == output_format


def test_a_pattern_stands_for_the_images_that_match_and_keeps_their_tree() -> None:
    touch("in/b.png", "in/a.png", "in/c.jpg", "in/sub/d.png", "in/notes.txt", "out/e.png")
    assert [name for _, name in named("in/*.png")] == ["a.png.jpg", "b.png.jpg"]
    tree = [name for _, name in named("in/**/*.png")]
    assert tree == ["a.png.jpg", "b.png.jpg", "sub/d.png.jpg"]
    assert [image for image, _ in named("*/*.png")] == ["in/a.png", "in/b.png"]
    assert skipped("in/*") == ["skipped in/notes.txt (not a JPG, PNG or WEBP file)"]
    touch("in/[1].png")
    assert [image for image, _ in named("in/[1].png")] == ["in/[1].png"]
    with pytest.raises(UsageError, match=r"^in/\*\.gif: no file matches; "):
        named("in/*.gif")


@pytest.mark.parametrize("text", ["a.jpg\nb c.jpg\n", "a.jpg\r\n\r\nb c.jpg", "a.jpg\0b c.jpg\0"])
def test_a_list_of_files_has_one_a_line_or_with_nul_after_each(text: str) -> None:
    Path("list.txt").write_bytes(text.encode())
    assert listed("list.txt") == ["a.jpg", "b c.jpg"]


def test_a_list_of_files_that_cannot_be_read_is_named() -> None:
    with pytest.raises(UsageError, match=r"^--files-from: missing\.txt: No such file"):
        listed("missing.txt")


@pytest.mark.parametrize("recursive", [False, True])
def test_an_image_that_is_given_twice_is_upscaled_once(recursive: bool) -> None:
    touch("in/a.jpg", "in/sub/b.jpg")
    url = "https://example.com/c.jpg"
    arguments = ("in/a.jpg", "in", "./in", str(Path("in/a.jpg").resolve()), "in/sub", url, url)
    images = [Path(image).resolve() for image, _ in named(*arguments, recursive=recursive)[:-1]]
    assert sorted(images) == [Path("in/a.jpg").resolve(), Path("in/sub/b.jpg").resolve()]
    assert any("(given twice)" in line for line in skipped(*arguments, recursive=recursive))


def test_a_file_that_is_skipped_in_its_folder_can_be_given_by_name() -> None:
    touch("in/a.jpg", "in/b.bmp", "in/.c.jpg", "in/.d/e.jpg")
    arguments = ("in", "in/b.bmp", "in/.c.jpg", "in/.d/e.jpg")
    images = [image for image, _ in named(*arguments, recursive=True)]
    assert images == ["in/a.jpg", "in/b.bmp", "in/.c.jpg", "in/.d/e.jpg"]


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://example.com/a/photo.jpg", "photo.jpg"),
        ("https://example.com/a/photo.jpg?size=large", "photo-2723cf0b.jpg"),
        ("https://example.com/show.php?id=7#top", "show.php-017df8d2.jpg"),
        ("https://example.com/photo%20one.webp", "photo one.webp.jpg"),
        ("https://example.com/", "image.jpg"),
        ("https://example.com", "image.jpg"),
        ("https://example.com/%2e%2e", "image.jpg"),
        ("https://example.com/..%2F..%2Fetc%2Fpasswd", "passwd.jpg"),
        ("https://example.com/a%5Cb%3Ac%00.jpg", "a_b_c_.jpg"),
        ("https://example.com/" + "x" * 500, "x" * 100 + ".jpg"),
        ("https://[not-a-host/photo.png", "photo.png.jpg"),
    ],
)
def test_a_result_is_named_after_the_path_of_its_url(url: str, name: str) -> None:
    assert named(url) == [(url, name)]


@pytest.mark.parametrize("argument", ["out/photo.jpg", "out/sub", "out", "link"])
def test_an_argument_inside_the_output_folder_is_refused(argument: str) -> None:
    touch("out/photo.jpg", "out/sub/photo.jpg")
    Path("link").symlink_to("out/photo.jpg")
    with pytest.raises(UsageError, match="output folder"):
        named(argument)


def test_an_output_folder_among_the_images_is_skipped() -> None:
    touch("photo.jpg", "out/photo.jpg")
    assert named(".", recursive=True) == [("photo.jpg", "photo.jpg")]
    assert skipped(".", recursive=True) == ["skipped out (the output folder)"]


def test_an_argument_that_does_not_exist_is_named() -> None:
    with pytest.raises(UsageError, match=r"^missing\.jpg: No such file or directory; give "):
        named("missing.jpg")
    with pytest.raises(UsageError, match=r"too long; "):
        named("A" * 9999)


def test_a_url_that_the_service_cannot_fetch_is_not_called_a_missing_file() -> None:
    with pytest.raises(UsageError, match=r"^ftp://foo/a\.jpg: not an http:// or https:// URL; "):
        named("ftp://foo/a.jpg")


def test_many_skipped_files_are_reported_in_one_line() -> None:
    touch(*(f"in/{number}.txt" for number in range(9)))
    assert skipped("in") == [
        "skipped in/0.txt, in/1.txt, in/2.txt and 6 more (not a JPG, PNG or WEBP file)"
    ]


def test_an_unreadable_folder_is_reported_and_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: object) -> None:
        raise PermissionError(13, "Permission denied")

    touch("in/a.jpg")
    monkeypatch.setattr("os.scandir", refuse)
    assert skipped("in") == ["skipped in (cannot be read: Permission denied)"]


def test_a_link_to_itself_is_skipped() -> None:
    touch("in/a.jpg")
    Path("in/loop").symlink_to(Path("in/loop").absolute())
    assert named("in", recursive=True) == [("in/a.jpg", "a.jpg")]
    assert skipped("in", recursive=True) == ["skipped in/loop (not a JPG, PNG or WEBP file)"]


def test_the_files_of_a_folder_that_is_given_twice_are_reported_once() -> None:
    touch("in/a.jpg", "in/read.me")
    assert skipped("in", "./in") == [
        "skipped in/read.me (not a JPG, PNG or WEBP file)",
        "skipped in (given twice)",
    ]
