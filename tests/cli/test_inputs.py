"""Test which images the arguments name, and how their results are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from runware_ws.cli.errors import UsageError
from runware_ws.cli.inputs import ImageFinder


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
    return list(ImageFinder(arguments, Path(out), recursive).survey()[1].messages())


@pytest.fixture(autouse=True)
def _in_an_empty_folder(folder: Path) -> None:
    pass


def test_a_result_is_named_after_its_file() -> None:
    touch("photo.png", "a/other.bmp", "no-ending")
    assert named("photo.png", "a/other.bmp", "no-ending") == [
        ("photo.png", "photo.jpg"),
        ("a/other.bmp", "other.jpg"),
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


def test_two_images_of_one_name_have_two_results() -> None:
    touch("a/photo.jpg", "b/photo.jpg", "c/photo.png", "d/Photo.jpg", "e/photo-2.jpg")
    names = [
        name
        for _, name in named(
            "a/photo.jpg", "b/photo.jpg", "c/photo.png", "d/Photo.jpg", "e/photo-2.jpg"
        )
    ]
    assert names == ["photo.jpg", "photo-2.jpg", "photo-3.jpg", "Photo-4.jpg", "photo-2-2.jpg"]


def test_only_the_last_suffix_of_a_name_is_replaced() -> None:
    touch("in/photo.png.jpg", "in/photo.jpg")
    names = [name for _, name in named("in")]
    assert names == ["photo.jpg", "photo.png.jpg"]


def test_each_search_gives_the_same_names() -> None:
    touch("in/photo.jpg", "in/photo.png", "in/photo.webp", "out/photo.jpg")
    finder = ImageFinder(["in"], Path("out"), recursive=False)
    assert list(finder.find()) == list(finder.find())
    assert finder.survey()[0] == 3


@pytest.mark.parametrize("recursive", [False, True])
def test_an_image_that_is_given_twice_is_upscaled_once(recursive: bool) -> None:
    touch("in/a.jpg", "in/sub/b.jpg")
    url = "https://example.com/a.jpg"
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
        ("https://example.com/a/photo.jpg?size=large", "photo.jpg"),
        ("https://example.com/photo%20one.webp", "photo one.jpg"),
        ("https://example.com/", "image.jpg"),
        ("https://example.com", "image.jpg"),
        ("https://example.com/%2e%2e", "image.jpg"),
        ("https://example.com/..%2F..%2Fetc%2Fpasswd", "passwd.jpg"),
        ("https://example.com/a%5Cb%3Ac%00.jpg", "a_b_c_.jpg"),
        ("https://example.com/" + "x" * 500, "x" * 100 + ".jpg"),
        ("https://[not-a-host/photo.png", "photo.jpg"),
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
