from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fkd.errors import UserError
from fkd.io import images, media
from fkd.io.media import Footage, Photos, Place
from fkd.io.video import VideoReader, VideoWriter

IMAGE = np.full((6, 8, 3), 90, np.uint8)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def fill(*names: str) -> None:
    """Files that search looks at by name only."""
    for name in names:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"content")


def find(value: Any, output: str = "out", frames: int | None = None) -> media.Source:
    return media.find(value, Path(output), frames)


def names(source: media.Source) -> list[str]:
    return [place.image for place in source.places()]


def written(source: media.Source, output: str = "out") -> set[str]:
    """Names of the files that its canvas writes, one for each place."""
    places = list(source.places())
    with source.canvas(Path(output)) as write:
        for place in places:
            write(place, IMAGE)
    found = {path.relative_to(output).as_posix() for path in Path(output).rglob("*") if path.is_file()}
    for name in found:
        images.read(Path(output) / name, 3)
    return found


def test_a_folder_gives_its_images_in_order_with_all_below() -> None:
    fill("in/b.jpg", "in/a.PNG", "in/sub/deep/c.webp", "in/notes.txt", "in/clip.mp4", "in/sub/x.csv")
    fill("in/.hidden.jpg", "in/.thumbs/t.jpg", "in/sub/._d.jpg")
    source = find("in")
    assert names(source) == ["a.PNG", "b.jpg", "sub/deep/c.webp"]
    assert [str(path) for path in source.images()] == ["in/a.PNG", "in/b.jpg", "in/sub/deep/c.webp"]
    assert source.count == 3
    assert source.fps is None
    assert source.remark == "left out: 3 files that are no images by their suffix"
    assert source.damage() is None


def test_links_to_files_are_followed_but_circles_of_folders_are_not() -> None:
    fill("in/a.jpg", "elsewhere/b.jpg")
    Path("in/b.jpg").symlink_to("../elsewhere/b.jpg")
    Path("in/circle").symlink_to(".")
    assert names(find("in")) == ["a.jpg", "b.jpg"]


@pytest.mark.parametrize("output", ["in/out", "link"])
def test_what_a_run_before_left_in_the_folder_is_not_read(output: str) -> None:
    fill("in/a.jpg", "in/out/a.jpg", "in/more/out/b.jpg")
    Path("link").symlink_to("in/out")
    assert names(find("in", output)) == ["a.jpg", "more/out/b.jpg"]
    assert names(find("in/**/*.jpg", output)) == ["a.jpg", "more/out/b.jpg"]


@pytest.mark.parametrize(
    ("pattern", "expected", "folder"),
    [
        ("in/*.jpg", ["a.jpg", "b.jpg"], "in"),
        ("in/**/*.jpg", ["a.jpg", "b.jpg", "one/c.jpg", "two/c.jpg"], "in"),
        ("in/*/c.*", ["one/c.jpg", "two/c.jpg", "two/c.png"], "in"),
        ("in/t?o/c.jp[eg]", ["two/c.jpg"], "in"),
        ("in/two/*", ["c.jpg", "c.png"], "in/two"),
        ("*/[ab].jpg", ["in/a.jpg", "in/b.jpg"], "."),
        ("**/**/b.jpg", ["in/b.jpg"], "."),
    ],
)
def test_a_glob_gives_what_it_matches_below_its_fixed_part(pattern: str, expected: list[str], folder: str) -> None:
    fill("in/a.jpg", "in/b.jpg", "in/one/c.jpg", "in/two/c.jpg", "in/two/c.png", "in/two/c.txt", "in/.h.jpg")
    source = find(pattern)
    assert names(source) == expected
    assert [path.as_posix() for path in source.images()] == [(Path(folder) / name).as_posix() for name in expected]
    absolute = find(str(Path.cwd() / pattern))
    assert names(absolute) == expected


def test_a_photo_is_taken_whatever_its_name() -> None:
    fill("in/a.jpg", "photo", "what?[1].jpg")
    assert (names(find("in/a.jpg")), list(find("in/a.jpg").images())) == (["a.jpg"], [Path("in/a.jpg")])
    assert names(find("photo")) == ["photo"]
    assert names(find("what?[1].jpg")) == ["what?[1].jpg"]  # what exists is no glob
    assert written(find("photo")) == {"photo.png"}


def test_images_keep_their_names_where_they_can() -> None:
    found = ("a.jpg", "a.png", "a.gif", "a.gif.png", "b.JFIF", "c.TIFF", "sub/a.jpg", "sub/a.gif")
    fill(*(f"in/{name}" for name in found))
    expected = {"a.jpg", "a.png", "a.gif.png.png", "a.gif.png", "b.JFIF.png", "c.TIFF", "sub/a.jpg", "sub/a.gif.png"}
    assert written(find("in")) == expected


def test_several_inputs_have_names_below_the_folder_that_holds_them_all() -> None:
    fill("one/a.jpg", "two/a.jpg", "two/deep/b.gif", "two/notes.txt")
    Path("link").symlink_to("two/deep")
    source = find(["two", "one/a.jpg", "link/../a.jpg", "one/*.jpg", str(Path("one/a.jpg").resolve())])
    expected = ["two/a.jpg", "two/deep/b.gif", "one/a.jpg"]
    assert names(source) == expected
    assert [Path(path).resolve() for path in source.images()] == [Path(name).resolve() for name in expected]
    assert source.remark == "left out: 1 file that is no image by its suffix"
    assert names(find(["one/a.jpg", "./one/../one/a.jpg"])) == ["a.jpg"]
    assert written(source) == {"one/a.jpg", "two/a.jpg", "two/deep/b.gif.png"}
    with pytest.raises(UserError, match=r"output=\.: is the folder of the input"):
        find(["one/a.jpg", "two/a.jpg"], ".")


@pytest.mark.parametrize(
    ("value", "output"),
    [("in", "in"), ("in", "in/sub/.."), ("in/a.jpg", "in"), ("in/*.jpg", "in"), ("in", "."), ("./in/*", "x/../in")],
)
def test_inputs_are_never_written_over(value: str, output: str) -> None:
    fill("in/a.jpg", "in/in/a.jpg", "in/sub/b.jpg", "x/y")
    with pytest.raises(UserError, match=r"output=.*(overwritten|overwrite).*choose another"):
        written(find(value, output), output)
    assert Path("in/a.jpg").read_bytes() == Path("in/in/a.jpg").read_bytes() == b"content"


def test_results_above_their_inputs_are_fine() -> None:
    fill("in/a.jpg")
    for value in ("in", "in/*.jpg"):
        assert names(find(value, ".")) == ["a.jpg"]
        with find(value, ".").canvas(Path(".")) as write:
            write(Place("a.jpg", None), IMAGE)
        assert images.read("a.jpg", 3).shape == IMAGE.shape
        assert Path("in/a.jpg").read_bytes() == b"content"


def test_results_never_go_to_the_folder_of_a_photo() -> None:
    """Its labels may lie beside it."""
    fill("in/a.gif")
    with pytest.raises(UserError, match="output=in: is the folder of the input"):
        find("in/a.gif", "in")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (
            "missing.jpg",
            "input=missing.jpg: expected a photo, folder, glob, video or number of a camera, found no such",
        ),
        ("missing.mp4", "found no such"),
        ("empty", "input=empty: expected images .*, found none"),
        ("texts", "input=texts: expected images .*, found 2 files of other kinds; a video is given by its own name"),
        ("in/*.jpeg", r"input=in/\*.jpeg: expected images .*, found none"),
        ("in/*/../../secret.jpg", "no .. after a wildcard"),
        (None, "input: expected a photo"),
        (True, "input: expected a photo"),
        (1.5, "input: expected a photo"),
        ("", "input: expected a photo"),
        ([], "input: expected a photo"),
        ([1.5], "input: expected a photo"),
        (["in/a.jpg", "missing.jpg"], "input=missing.jpg: expected a photo"),
    ],
)
def test_what_is_not_there_is_said_in_one_line(value: Any, expected: str) -> None:
    fill("in/a.jpg", "texts/a.txt", "texts/b.mp4", "secret.jpg")
    Path("empty").mkdir()
    with pytest.raises(UserError, match=expected) as error:
        find(value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("frames", [0, -1, "all", 2.5])
def test_frames_is_a_whole_number(frames: Any) -> None:
    with pytest.raises(UserError, match="frames: expected a whole number"):
        find("in", frames=frames)


def test_frames_are_of_videos_only() -> None:
    fill("a.jpg")
    with pytest.raises(UserError, match=r"frames=3: expected a video or a camera as input, found a\.jpg"):
        find("a.jpg", frames=3)


def make_video(path: str, frames: int) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(Path(path), 10) as writer:
        for i in range(frames):
            writer.write(np.full((48, 64, 3), 10 * i, np.uint8))


def shades(shown: Sequence[Any]) -> list[int]:
    """Grey levels in tens, which a codec keeps."""
    return [round(float(image.mean()) / 10) for image in shown]


@pytest.mark.parametrize("frames", [None, 3])
def test_a_video_gives_its_frames_and_one_video(frames: int | None) -> None:
    make_video("in/clip.avi", 6)
    source = find("in/clip.avi", frames=frames)
    count = frames or 6
    assert isinstance(source, Footage)
    assert (source.count, source.fps) == (count, 10)
    Path("out").mkdir()
    with source.canvas(Path("out")) as write:
        for place, image in zip(source.places(), source.images(), strict=False):
            write(place, 200 - image)  # type: ignore[operator]
    assert source.damage() is None
    assert shades(list(VideoReader(Path("out/clip.avi")))) == [20 - i for i in range(count)]
    assert [place for place, _ in zip(source.places(), range(2), strict=False)] == [
        Place("clip.avi", 0),
        Place("clip.avi", 1),
    ]
    with pytest.raises(UserError, match=r"would overwrite the input clip\.avi"), source.canvas(Path("in")):
        pass


def test_a_video_among_other_inputs_is_refused() -> None:
    fill("a.jpg")
    make_video("clip.avi", 2)
    with pytest.raises(UserError, match=r"input: expected a video or a camera alone, found other inputs, too"):
        find(["a.jpg", "clip.avi"])
    assert isinstance(find(["clip.avi"]), Footage)


def test_a_video_that_ends_early_is_damaged_but_not_one_that_is_left_early() -> None:
    make_video("clip.avi", 20)
    Path("clip.avi").write_bytes(Path("clip.avi").read_bytes()[: Path("clip.avi").stat().st_size * 6 // 10])
    for frames, is_damaged in ((None, True), (3, False)):
        source = find("clip.avi", frames=frames)
        assert 0 < len(list(source.images())) < 20
        assert (source.damage() is not None) == is_damaged


def test_a_whole_number_is_a_camera() -> None:
    fill("99")
    with pytest.raises(UserError, match="input=99: expected the number of a camera"):
        find(99)
    assert isinstance(find("./99"), Photos)
