"""What the arguments mean, and how results are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from runware_ws.cli.complaints import UsageError
from runware_ws.cli.sources import Sources


def touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def named(*arguments: str, out: str = "out", recursive: bool = False) -> list[tuple[str, str]]:
    sources = Sources(arguments, Path(out), recursive)
    return [(str(one.image), one.name.as_posix()) for one in sources.pictures()]


def skipped(*arguments: str, out: str = "out", recursive: bool = False) -> list[str]:
    return Sources(arguments, Path(out), recursive).survey()[1].lines()


@pytest.fixture(autouse=True)
def _in_an_empty_folder(folder: Path) -> None:
    pass


def test_a_file_gives_its_name_to_its_result() -> None:
    touch("photo.png", "a/other.bmp", "no-ending")
    assert named("photo.png", "a/other.bmp", "no-ending") == [
        ("photo.png", "photo.jpg"),
        ("a/other.bmp", "other.jpg"),
        ("no-ending", "no-ending.jpg"),
    ]


def test_a_folder_stands_for_its_images_sorted() -> None:
    touch("in/b.jpg", "in/a.PNG", "in/c.webp", "in/d.jpeg", "in/.hidden.jpg", "in/read.me")
    assert [image for image, _ in named("in")] == ["in/a.PNG", "in/b.jpg", "in/c.webp", "in/d.jpeg"]
    assert skipped("in") == ["skipped in/read.me (not a JPG, PNG or WEBP)"]


def test_folders_in_folders_are_left_out_unless_asked_for() -> None:
    touch("in/a.jpg", "in/sub/b.jpg")
    assert named("in") == [("in/a.jpg", "a.jpg")]
    assert skipped("in") == ["skipped in/sub (a folder; --recursive takes it in)"]


def test_a_tree_keeps_its_structure() -> None:
    touch("in/z.jpg", "in/sub/a.jpg", "in/sub/deep/a.jpg", "in/.git/a.jpg")
    assert named("in", recursive=True) == [
        ("in/z.jpg", "z.jpg"),
        ("in/sub/a.jpg", "sub/a.jpg"),
        ("in/sub/deep/a.jpg", "sub/deep/a.jpg"),
    ]


def test_a_link_to_a_folder_is_not_followed_into_a_circle() -> None:
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


def test_an_ending_within_a_name_is_part_of_it() -> None:
    touch("in/photo.png.jpg", "in/photo.jpg")
    names = [name for _, name in named("in")]
    assert names == ["photo.jpg", "photo.png.jpg"]


def test_names_are_the_same_each_time() -> None:
    touch("in/photo.jpg", "in/photo.png", "in/photo.webp", "out/photo.jpg")
    sources = Sources(["in"], Path("out"), recursive=False)
    assert list(sources.pictures()) == list(sources.pictures())
    assert sources.survey()[0] == 3


@pytest.mark.parametrize("recursive", [False, True])
def test_no_image_is_paid_for_twice(recursive: bool) -> None:
    touch("in/a.jpg", "in/sub/b.jpg")
    url = "https://example.com/a.jpg"
    arguments = ("in/a.jpg", "in", "./in", str(Path("in/a.jpg").resolve()), "in/sub", url, url)
    images = [Path(image).resolve() for image, _ in named(*arguments, recursive=recursive)[:-1]]
    assert sorted(images) == [Path("in/a.jpg").resolve(), Path("in/sub/b.jpg").resolve()]
    assert "given twice" in skipped(*arguments, recursive=recursive)[0]


def test_a_file_that_its_folder_would_not_give_is_taken_by_name() -> None:
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
    ],
)
def test_a_url_gives_a_name_that_is_no_path(url: str, name: str) -> None:
    assert named(url) == [(url, name)]


@pytest.mark.parametrize("argument", ["out/photo.jpg", "out/sub", "out", "link"])
def test_nothing_in_the_output_folder_is_an_image_to_upscale(argument: str) -> None:
    touch("out/photo.jpg", "out/sub/photo.jpg")
    Path("link").symlink_to("out/photo.jpg")
    with pytest.raises(UsageError, match="output folder"):
        named(argument)


def test_an_output_folder_among_the_images_is_passed_over() -> None:
    touch("photo.jpg", "out/photo.jpg")
    assert named(".", recursive=True) == [("photo.jpg", "photo.jpg")]
    assert skipped(".", recursive=True) == ["skipped out (the results lie there)"]


def test_an_argument_that_does_not_exist_is_named() -> None:
    with pytest.raises(UsageError, match=r"^missing\.jpg: No such file or directory$"):
        named("missing.jpg")
    with pytest.raises(UsageError, match=r"too long$"):
        named("A" * 9999)


def test_a_url_that_the_service_cannot_fetch_is_told_from_a_missing_file() -> None:
    with pytest.raises(UsageError, match=r"^ftp://foo/a\.jpg: .* http:// and https:// URLs only$"):
        named("ftp://foo/a.jpg")


def test_many_of_a_kind_are_told_in_one_line() -> None:
    touch(*(f"in/{number}.txt" for number in range(9)))
    assert skipped("in") == [
        "skipped in/0.txt, in/1.txt, in/2.txt and 6 more (not a JPG, PNG or WEBP)"
    ]


def test_an_unreadable_folder_is_told_and_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: object) -> None:
        raise PermissionError(13, "Permission denied")

    touch("in/a.jpg")
    monkeypatch.setattr("os.scandir", refuse)
    assert skipped("in") == ["skipped in (cannot be read: Permission denied)"]
