"""The program as its user meets it: arguments in, pictures and messages out."""

# ruff: noqa: D103 - the name of a test says what it shows

import os
import platform
import re
import shlex
import signal
import sys
import weakref
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageSequence, JpegImagePlugin

import main
from conftest import (
    NOISE,
    PROGRAM,
    PROJECT,
    SAMPLE,
    Pictures,
    assert_one_error_line,
    decibels,
    save,
    small_photo,
)

README = (PROJECT / "README.md").read_text(encoding="utf-8")
# Variables for code that runs main.py inside its own interpreter.
INSIDE = {"MAIN": str(PROJECT / "main.py"), "PYTHONPATH": str(PROJECT)}
TINY = NOISE[:12, :12]  # too small for a label
needs_posix = pytest.mark.skipif(os.name == "nt", reason="needs a POSIX system")


def put_sample(folder: Path) -> None:
    """Put the sample where the program looks for it by default."""
    (folder / "images").mkdir()
    (folder / "images" / SAMPLE.name).write_bytes(SAMPLE.read_bytes())


def colours_of(pixels: np.ndarray) -> np.ndarray:
    """Return the distinct colours, (n, 3), of a picture that has at most 256."""
    return np.array([colour for _, colour in Image.fromarray(pixels).getcolors()])


def box_around(mask: np.ndarray) -> np.ndarray:
    """Return the least and the largest row and column of what is true."""
    places = np.argwhere(mask)
    return np.array([places.min(axis=0), places.max(axis=0)])


def assert_only_whole_pictures(folder: Path) -> None:
    """Check that every file under the folder is a picture that can be decoded."""
    for path in folder.rglob("*.*"):
        assert re.fullmatch(r"k_\d+\.jpg|output\.gif", path.name), path
        with Image.open(path) as image:
            for frame in ImageSequence.Iterator(image):
                frame.load()


# The command line


def test_the_default_run_makes_all_frames_with_a_line_each(run, pictures, tmp_path):
    put_sample(tmp_path)
    done = run()
    assert (done.status, done.err) == (0, "")
    names = [f"k_{k}.jpg" for k in main.DEFAULT_KS]
    *lines, last = done.out.splitlines()
    assert [line.split()[0] for line in lines] == names
    assert all(re.search(r"\d iterations +\d+\.\d\d dB$", line) for line in lines)
    files = pictures.files()
    assert "output.gif: 14 frames, " in last
    assert f" {len(files['output.gif']) / 1000:.1f} kB, " in last
    written = {"output.gif", *(f"segmented-images/{name}" for name in names)}
    assert set(files) == written | {SAMPLE.name}
    frames = pictures.gif() + [pictures.frame(k) for k in main.DEFAULT_KS]
    assert [frame.shape for frame in frames] == [(334, 500, 3)] * 28


def test_frames_come_in_the_order_of_ks_and_in_the_folder(make, pictures, tmp_path):
    elsewhere = Pictures(tmp_path / "a b" / "ç.gif")
    elsewhere.folder.mkdir(parents=True)  # or the name would be that of a file
    make("--ks", 7, 2, 7, "--output", "a b/ç.gif", "--no-label")
    frames = elsewhere.gif()
    assert [len(colours_of(frame)) for frame in frames] == [7, 2, 7]
    assert (frames[0] == frames[2]).all()
    assert len(elsewhere.files()) == 3 and not pictures.folder.exists()


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(make, pictures):
    made = []
    for seed in (5, 5, 6):
        make("--ks", 9, 30, "--seed", seed)
        made.append(pictures.files())
    one, same, other = made
    assert one == same and all(one[name] != other[name] for name in one)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="names kernels of x86-64")
def test_the_same_seed_gives_the_same_bytes_on_other_processors(call, run, pictures):
    made = []
    for start, kernel in ((call, {}), (run, {"OPENBLAS_CORETYPE": "Nehalem"})):
        start("--path", SAMPLE, "--ks", 10, 25, 50, **kernel)  # it has no fused steps
        made.append(pictures.files())
    assert made[0] == made[1]


WRONG_ARGUMENTS = [  # after what the error line says about them
    ("--path IMAGE", "photo.jpg", "path photo.jpg", "—path photo.jpg", "--p=short"),
    ("--path IMAGE", "--ks 2 4 photo.jpg"),
    ("in quotes", "--path my photo.jpg"),
    ("--ks 2 4 8", "--ks 8,16", "--k 8", "-k 8", "--colors 8"),
    ("from 1 to 254", "--ks 0", "--ks 2.5", "--ks 255", f"--ks {'9' * 5000}"),
    ("from 1 to 10000", "--max-size 0", "--max-size 10001"),
    ("from 0 up", "--seed x", f"--seed {'9' * 5000}"),
    ("expected", "--ks", "--path"),
    ("argument", "--ks -3", "--seed -1"),
    ("is empty", "--path=", "--output="),
    ("give a folder", "--output result.gif", "--output a/B.JPEG"),
]


@pytest.mark.parametrize(
    "hint, arguments", [(hint, a) for hint, *group in WRONG_ARGUMENTS for a in group]
)
def test_wrong_arguments_get_the_usage_and_a_hint(call, tmp_path, hint, arguments):
    failed = call(*arguments.split())
    assert (failed.status, failed.out) == (2, "")
    assert failed.err.startswith("usage:")
    last = failed.err.splitlines()[-1]
    assert "error:" in last and hint in last
    assert "parse" not in last  # the name of a function
    assert not list(tmp_path.iterdir())


def test_the_help_fits_the_screen_and_has_an_example(call, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    done = call("--help")
    lines = done.out.splitlines()
    assert done.status == 0 and max(map(len, lines)) <= 80
    assert "default: 500" in " ".join(lines) and "True" not in " ".join(lines)
    assert lines[-1].startswith("example: python main.py --path")


def test_a_python_that_is_too_old_is_told_so(run):
    as_if_old = "import sys; sys.version_info = (3, 9); exec(open(sys.argv[1]).read())"
    program = [sys.executable, "-c", as_if_old, PROJECT / "main.py"]
    assert_one_error_line(run(command=program), "Python 3.10 or newer")


@needs_posix
@pytest.mark.parametrize(
    "arguments, closed, status",
    [
        ("--path no", "2>&-", 1),
        ("--ks 0", "0<&- 2>&-", 2),
        (f"--path {SAMPLE} --ks 2", ">&- 2>&-", 0),
    ],
)
def test_an_error_never_goes_to_stdout(run, arguments, closed, status):
    shell = ["sh", "-c", f'exec "$@" {closed}', "sh"]
    failed = run(*arguments.split(), command=[*shell, *PROGRAM])
    assert (failed.status, failed.out) == (status, "")


@pytest.mark.parametrize(
    "name", ["with space.png", "número-ß-图.png", "no-ending", "wrong.jpg", "-dash.png"]
)
def test_a_file_may_have_any_name(call, tmp_path, name):
    save(tmp_path / name, TINY, format="PNG")
    done = call(f"--path={name}", "--ks", 3)
    assert (done.status, done.err) == (0, "")


def test_output_names_that_the_console_cannot_show_are_escaped(run):
    options = ["--path", SAMPLE, "--ks", 2, "--output", "图\n"]
    done = run(*options, PYTHONIOENCODING="ascii")
    assert (done.status, done.err) == (0, "")
    assert r"\u56fe\n" in done.out.splitlines()[-1]


@pytest.mark.parametrize(
    "path, reason",
    [
        ("text.jpg", "is not an image"),
        ("absent.jpg", "No such file"),
        (".", "is a folder, a pipe or a device"),
        (os.devnull, "is a folder, a pipe or a device"),
        pytest.param("pipe", "is a folder, a pipe or a device", marks=needs_posix),
        ("a\nb", ""),
        ("x" * 300, ""),
    ],
)
def test_what_is_no_image_gets_one_clear_line(call, pictures, tmp_path, path, reason):
    (tmp_path / "text.jpg").write_text("not an image")
    if path == "pipe":
        os.mkfifo(tmp_path / path)
    mention = path.replace("\n", r"\n")
    assert_one_error_line(call("--path", path), f"{mention}: {reason}")
    assert not pictures.folder.exists()


# What the README shows


def test_the_demo_is_what_the_default_run_makes(make, pictures):
    make()
    demo = Pictures(PROJECT / "images").gif("demo.gif")
    for k, frame, shown in zip(main.DEFAULT_KS, pictures.gif(), demo, strict=True):
        assert (frame == shown).all(), f"k={k}: make demo.gif anew"


def test_no_example_of_the_readme_replaces_what_another_made(call, tmp_path):
    examples = re.findall(r"^\.venv/bin/python main\.py (.+)$", README, re.MULTILINE)
    assert len(examples) > 1
    made = []
    for example in examples:
        arguments = shlex.split(example)
        path = arguments[arguments.index("--path") + 1]
        save(tmp_path / path, small_photo())
        done = call(*arguments)
        assert (done.status, done.err) == (0, "")
        options = main.parse_arguments()
        results = Pictures(tmp_path / options.output)
        form = "png" if options.png else "jpg"
        frames = {f"segmented-images/k_{k}.{form}" for k in options.ks}
        assert set(results.files()) == {"output.gif"} | frames
        made.append((results, results.files()))
    assert all(results.files() == files for results, files in made)


def test_the_python_example_of_the_readme_repaints_its_image(tmp_path, monkeypatch):
    put_sample(tmp_path)
    monkeypatch.chdir(tmp_path)
    exec(re.search("```python\n(.*?)```", README, re.DOTALL)[1], {})
    with Image.open("painted.png") as painted, Image.open(SAMPLE) as sample:
        assert len(painted.getcolors()) == 8 and painted.size == sample.size
        assert decibels(np.asarray(painted), np.asarray(sample)) > 24


def test_the_readme_and_the_program_name_the_same_numbers(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["main.py"])
    defaults = main.parse_arguments()
    for words in (
        f"`--path IMAGE` | `{defaults.path.as_posix()}` |",
        f"`--seed N` | {defaults.seed} |",
        f"`--output DIR` | `{defaults.output}` |",
        f"`--ks K [K ...]` | {' '.join(map(str, defaults.ks))} |",
        f"1 to {main.MAX_K}, one frame each",
        f"`--max-size N` | {defaults.max_size} |",
        f"1 to {main.MAX_SIZE};",
        f"all frames, {main.FRAME_MILLISECONDS / 1000} s each",
        f"`k_{main.MAX_K}.jpg`",
        f"{main.MAX_PIXELS // 10**6} megapixels (WebP and AVIF "
        f"{main.MAX_WEBP_PIXELS // 10**6}",
        f"{main.MAX_SECONDS} s of computing",
    ):
        assert words in README.replace("\n", " "), words
    formats = re.findall("[A-Za-z]{3,}", re.search("It reads (.*?);", README, re.S)[1])
    named = {name.upper() for name in formats} - {"AND", "FROM", "PILLOW"}
    assert named == {*main.FORMATS, "AVIF"} and len(README.split()) <= 1000


# The pictures


def test_every_pixel_has_the_colour_of_its_nearest_centroid(paint):
    photo, ks = small_photo(240, 160), (1, 3, 8, 50)
    frames, lines = paint(photo, "--ks", *ks, "--no-label")
    for k, frame, line in zip(ks, frames, lines[:-1], strict=True):
        assert f" {decibels(frame, photo):.2f} dB" in line
        palette = colours_of(frame)
        assert len(palette) == k
        pixels = photo.astype(float)
        chosen = np.linalg.norm(pixels - frame, axis=2)
        nearest = np.min([np.linalg.norm(pixels - c, axis=2) for c in palette], axis=0)
        assert (chosen <= nearest + np.sqrt(3)).all()  # a centroid's two roundings
        for colour in palette:  # which is the mean of its pixels, each counted
            mean = photo[(frame == colour).all(axis=2)].mean(axis=0)
            assert np.abs(mean - colour).max() < 0.51


def test_jpegs_are_close_to_the_frames_and_pngs_are_the_same(paint, pictures):
    frames, _ = paint(small_photo(), "--ks", 3, 8, 50)
    for k, frame in zip((3, 8, 50), frames, strict=True):
        assert decibels(pictures.frame(k), frame) > 34
        with Image.open(pictures.frame_path(k)) as image:
            assert JpegImagePlugin.get_sampling(image) == 0  # 4:4:4
    _, lines = paint(small_photo(), "--ks", 3, 8, 50, "--png")
    for k, frame, line in zip((3, 8, 50), frames, lines[:-1], strict=True):
        assert (pictures.frame(k, "png") == frame).all()
        assert line.startswith(f"k_{k}.png ")


def test_the_numbers_of_a_png_frame_are_its_clusters_largest_first(paint, pictures):
    _, lines = paint(small_photo(), "--ks", 8, "--png", "--no-label", "--palette")
    with Image.open(pictures.frame_path(8, "png")) as image:
        numbers, palette = np.asarray(image), np.reshape(image.getpalette(), (-1, 3))
    sizes = np.bincount(numbers.ravel())
    assert len(sizes) == 8 and (np.diff(sizes) <= 0).all()
    printed = [line.split()[0] for line in lines[1:-1]]
    assert printed == [f"#{bytes(colour).hex()}" for colour in palette[:8].tolist()]


def test_an_image_of_few_colours_comes_back_as_it_is(paint):
    flag = np.zeros((90, 120, 3), np.uint8)
    flag[:, :40], flag[:, 40:80], flag[:, 80:] = (200, 30, 40), (9, 180, 60), (3, 6, 22)
    for more in ([], [9, 1]):
        # Equal frames are shown as long as all of them.
        frames, lines = paint(flag, "--no-label", "--ks", 1, 2, 3, *more)
        is_flag = [(frame == flag).all() for frame in frames]
        assert is_flag == [False, False, True, True, False][: 3 + len(more)]
        if more:
            first = "colours in all: 3; from k=3 on, the frames are the image itself"
            assert lines.pop(0).startswith(first)
        assert is_flag == ["inf dB" in line for line in lines[:-1]]
    assert len(paint(flag[:, :40], "--no-label", "--ks", 1, 2, 3)[0]) == 3


def test_the_palette_lists_the_colours_of_a_frame_and_their_shares(paint):
    tiny = NOISE[[0] * 6 + [*range(6)], :12]  # of twelve colours there are more
    _, plain = paint(tiny, "--ks", 9, 72)
    frames, lines = paint(tiny, "--ks", 9, 72, "--palette")
    wanted = []
    for frame in frames:
        counted = Image.fromarray(frame).getcolors()
        for count, colour in sorted((-count, colour) for count, colour in counted):
            wanted.append(f"  #{bytes(colour).hex()} {-count / 1.44:5.1f} %")
    assert [line for line in lines if line.startswith("  ")] == wanted
    rest = [line for line in lines if line not in wanted]
    assert len(wanted) == 9 + 72 and rest[:-1] == plain[:-1]


@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_the_longest_side_may_be_chosen(make, pictures, tmp_path, ending):
    stripes = np.where(np.indices((600, 800, 3))[1] % 4 < 2, 20, 230).astype(np.uint8)
    path = save(tmp_path / f"stripes.{ending}", stripes)
    sizes = {1: (1, 1), 7: (7, 5), 499: (499, 374), 9999: (800, 600)}
    for side, wanted in sizes.items():
        make("--ks", 2, "--max-size", side, "--no-label", image=path)
        (frame,) = pictures.gif()
        assert frame.shape[1::-1] == wanted == pictures.frame(2).shape[1::-1]
    # Nothing is skipped in decoding that the last frame shows.
    assert np.abs(frame - stripes.astype(int)).mean() < 20


@pytest.mark.parametrize("side", [1000, 1100])
def test_distinct_colours_are_those_of_the_pixels(side):
    """Small images are sorted, large ones use a table."""
    image = np.random.default_rng(0).integers(100, 164, (side, 1000, 3), np.uint8)
    image[:70] = 100  # more pixels than two bytes can count
    colours, counts, colour_of_pixel = main.distinct_colours(image)
    assert (colours[colour_of_pixel] == image.reshape(-1, 3)).all()
    assert (counts == np.bincount(colour_of_pixel)).all()
    assert (np.diff(colours.astype(int) @ (65536, 256, 1)) > 0).all()


def test_frames_go_into_the_animation_as_they_are_made(paint, monkeypatch):
    usual, frames, held = main.paint, [], []

    def watched(*arguments: object) -> Image.Image:
        held.append(sum(frame() is not None for frame in frames))
        frame = usual(*arguments)
        frames.append(weakref.ref(frame))
        return frame

    monkeypatch.setattr(main, "paint", watched)
    paint(small_photo(), "--ks", *range(2, 12))
    assert len(held) == 10 and max(held) <= 2  # the first one, and the one before


# The label


@pytest.mark.parametrize("side", [1000, 3024, 10_000])
def test_the_edge_of_a_label_leaves_no_speck_in_its_letters(side):
    """A hole of a letter is filled by the edge, or it is large enough to be seen."""
    _, edge = main.make_labels([8], side, side)[8]
    outside = (~np.asarray(edge)).astype(np.uint8)
    sizes = cv2.connectedComponentsWithStats(outside)[2][1:, cv2.CC_STAT_AREA]
    assert (sizes > edge.height**2 / 250).all()


def test_the_label_takes_no_colour_and_changes_no_pixel_but_its_own(paint):
    ks, picture = (2, 50, main.MAX_K), NOISE[:45, :60]
    labelled, _ = paint(picture, "--ks", *ks)
    plain, _ = paint(picture, "--ks", *ks, "--no-label")
    for k, with_label, without in zip(ks, labelled, plain, strict=True):
        assert len(colours_of(without)) == k
        drawn = with_label[(with_label != without).any(axis=2)]
        assert len(drawn) > 100
        assert {bytes(colour) for colour in drawn} == {b"\0\0\0", b"\xff\xff\xff"}


@pytest.mark.parametrize(
    "height, width", [(40, 40), (40, 500), (500, 60), (60, 500), (150, 200), (300, 400)]
)
def test_the_label_is_centred_white_on_black_and_as_large_as_fits(paint, height, width):
    shorter = min(height, width)
    frames, _ = paint(np.full((height, width, 3), 127, np.uint8), "--ks", 50, 254)
    for frame in frames:
        edge, letters = box_around(frame[..., 0] == 0), box_around(frame[..., 0] == 255)
        thickness = [letters[0] - edge[0], edge[1] - letters[1]]
        assert np.min(thickness) >= max(1, shorter // 150)
        (top, left), (bottom, right) = edge
        assert left > 0 and right < width - 1 and abs(left + right - (width - 1)) <= 3
        assert top > 0 and bottom < height / 3
        assert bottom - top >= max(shorter // 15, min(14, shorter // 5))


@pytest.mark.parametrize("width", [20, 28, 31, 34, 37, 40])
def test_all_frames_have_a_label_or_none_has(paint, width):
    labelled = set()
    for height in (width, 500):
        grey = np.full((height, width, 3), 127, np.uint8)
        frames, _ = paint(grey, "--ks", 2, 50, 254)
        have_labels = {bool((frame != 127).any()) for frame in frames}
        assert len(have_labels) == 1
        labelled |= have_labels
    if width in (20, 40):
        assert labelled == {width == 40}


# The files it leaves


def test_frames_of_earlier_runs_go_and_other_files_stay(make, pictures):
    make("--ks", 2)
    make("--ks", 3, 4, "--png")
    folder = pictures.folder / "segmented-images"
    assert not (folder / "k_2.jpg").exists()
    for name in ("k_notes.jpg", "k_08.jpg", "k_255.jpg", "../mine.txt"):
        (folder / name).write_text("mine")
    pictures.frame_path(9).mkdir()
    # What is segmented stays, too, even if it was a frame and is called in other words.
    make("--ks", 4, image=folder / ".." / folder.name / "k_4.png")
    kept = ["k_08.jpg", "k_255.jpg", "k_4.jpg", "k_4.png", "k_9.jpg", "k_notes.jpg"]
    assert sorted(path.name for path in folder.iterdir()) == kept
    assert (pictures.folder / "mine.txt").exists()


@needs_posix
@pytest.mark.parametrize(
    "result", ["segmented-images/k_2.jpg", "segmented-images/k_2.png", "output.gif"]
)
def test_the_input_is_never_replaced(call, pictures, tmp_path, result):
    target = pictures.folder / result
    target.parent.mkdir(parents=True)
    target.write_bytes(SAMPLE.read_bytes())
    roundabout = tmp_path / "images" / ".." / "images" / result
    link, hard_link = tmp_path / "link", tmp_path / "hard link"
    link.symlink_to(target)
    os.link(target, hard_link)
    more = ["--png"] if target.suffix == ".png" else []
    for path in (target, roundabout, link, hard_link):
        failed = call("--path", path, "--ks", 4, 2, *more)
        assert_one_error_line(failed, path)
        assert "choose another --output" in failed.err
        assert pictures.files() == {result: SAMPLE.read_bytes()}
    (tmp_path / "images").rename(tmp_path / "mine")
    target = tmp_path / "mine" / result
    failed = call("--path", target, "--ks", 2, *more, "--output", "new/../mine")
    assert_one_error_line(failed, "choose another --output")
    assert target.read_bytes() == SAMPLE.read_bytes()


def test_an_input_that_is_gone_does_not_keep_earlier_frames(tmp_path):
    frame = save(tmp_path / "k_2.jpg", NOISE)
    main.remove_files([frame, tmp_path / "k_3.jpg"], kept=tmp_path / "gone.jpg")
    assert not frame.exists()


@pytest.mark.parametrize("place", ["images", "images/segmented-images"])
def test_a_file_in_the_place_of_a_folder_is_left_alone(call, tmp_path, place):
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_text("mine")
    assert_one_error_line(call("--path", SAMPLE), Path(place))
    assert (tmp_path / place).read_text() == "mine"


def test_earlier_frames_stay_until_the_new_animation_is_in_place(call, pictures):
    (pictures.folder / "output.gif").mkdir(parents=True)  # so that none can be written
    pictures.frame_path(3).parent.mkdir()
    save(pictures.frame_path(3), TINY)
    assert_one_error_line(call("--path", SAMPLE, "--ks", 2), "output.gif")
    left = {path.name for path in pictures.folder.rglob("*.*")}
    assert left == {"output.gif", "k_3.jpg"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_under_the_printed_lines_gets_one_clear_line(run):
    with Path("/dev/full").open("w") as full:
        failed = run("--path", SAMPLE, stdout=full)
    assert_one_error_line(failed, "standard output: ")


@needs_posix
def test_a_full_disk_leaves_the_earlier_animation(make, run, pictures):
    make("--ks", 2)
    before = pictures.files()
    small = ["sh", "-c", 'ulimit -f 60; exec "$@"', "sh"]  # 30 or 60 kB for a file
    options = ["--path", SAMPLE, "--max-size", 150, "--ks", *range(20, 32)]
    failed = run(*options, command=[*small, *PROGRAM])
    assert_one_error_line(failed, Path("images", "output.gif"))
    assert pictures.files()["output.gif"] == before["output.gif"]
    assert_only_whole_pictures(pictures.folder)


@pytest.mark.parametrize("end", [MemoryError(), OSError("encoder error -9")])
def test_a_run_that_lacks_memory_leaves_everything_as_it_was(
    make, call, pictures, monkeypatch, end
):
    make("--ks", 2, 3)
    before, usual = pictures.files(), Image.Image.save

    def fail(picture: Image.Image, file: object, form: str, **options: object) -> None:
        for _ in options.get("append_images", []):
            pass  # Pillow takes all frames before it writes them
        if form == "GIF":
            raise end
        usual(picture, file, form, **options)

    monkeypatch.setattr(Image.Image, "save", fail)
    failed = call("--path", SAMPLE, "--ks", 2, 3, "--png")
    assert_one_error_line(failed, "lower --max-size")
    assert pictures.files() == before


@needs_posix
def test_results_are_replaced_whole_and_never_written_into(make, pictures, tmp_path):
    make("--ks", 2)
    before = pictures.files()
    for name in before:  # whatever is written into them is seen through a second name
        os.link(pictures.folder / name, tmp_path / Path(name).name)
    make("--ks", 2, "--no-label")
    for name, content in before.items():
        assert (tmp_path / Path(name).name).read_bytes() == content
        assert (pictures.folder / name).read_bytes() != content


def test_two_runs_into_one_folder_do_no_harm(make, pictures, monkeypatch):
    replace, renamed = Path.replace, []

    def overtaken(temporary: Path, target: Path) -> None:
        monkeypatch.setattr(Path, "replace", replace)
        make("--ks", 2)
        renamed.append(replace(temporary, target))

    monkeypatch.setattr(Path, "replace", overtaken)
    make("--ks", 2, 3)
    assert renamed and len(pictures.files()) == 3
    assert_only_whole_pictures(pictures.folder)


def test_another_run_may_remove_an_earlier_frame_first(make, monkeypatch):
    make("--ks", 3)
    unlink = Path.unlink

    def too_late(path: Path, missing_ok: bool = False) -> None:
        unlink(path, missing_ok=True)
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", too_late)
    make("--ks", 2)


@needs_posix
@pytest.mark.parametrize("end, status", [("Ctrl-C", 130), ("a closed pipe", 141)])
def test_ctrl_c_or_a_closed_pipe_ends_it_quietly(start, pictures, end, status):
    process = start("--path", SAMPLE)
    assert process.stdout.readline().startswith("k_1.jpg")
    if end == "Ctrl-C":
        process.send_signal(signal.SIGINT)
    else:
        process.stdout.close()
    assert (process.stderr.read(), process.wait()) == ("", status)
    assert_only_whole_pictures(pictures.folder)


@needs_posix
def test_ctrl_c_for_others_does_not_end_it_in_the_background(start):
    ignoring = ["sh", "-c", 'trap "" INT; exec "$@"', "sh"]
    process = start("--path", SAMPLE, "--ks", 2, 50, command=[*ignoring, *PROGRAM])
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait() == 0


@needs_posix
def test_ctrl_c_while_the_libraries_load_leaves_no_traceback(start):
    timed = [sys.executable, "-X", "importtime", PROJECT / "main.py"]
    process = start(command=timed)
    assert any("argparse" in line for line in process.stderr)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == -signal.SIGINT and "Traceback" not in err


def test_a_failed_import_leaves_ctrl_c_as_it_was(run):
    code = """if True:
        import os, runpy, signal, sys
        sys.modules["cv2"] = None
        try:
            runpy.run_path(os.environ["MAIN"], run_name="__main__")
        except ImportError:
            print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
    """
    assert run(command=[sys.executable, "-c", code], **INSIDE).out == "True\n"


@needs_posix
def test_an_interpreter_that_goes_on_is_as_it_was(run, tmp_path):
    """As after %run in IPython, and in IDLE, where no stream has a descriptor."""
    put_sample(tmp_path)
    code = """if True:
        import io, os, resource, runpy, signal, sys
        from PIL import Image, PngImagePlugin
        def state():
            yield resource.getrlimit(resource.RLIMIT_DATA)
            yield from map(signal.getsignal, (signal.SIGINT, signal.SIGPROF))
            yield signal.getitimer(signal.ITIMER_PROF)
            yield from (Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK)
            yield from (sys.stdout, sys.stderr, os.getcwd())
        out, sys.argv = os.dup(1), ["main.py", "--ks", "2"]
        os.close(0), os.close(1), os.close(2)
        sys.stdout, sys.stderr = io.StringIO(), io.StringIO()
        before = list(state())
        try:
            runpy.run_path(os.environ["MAIN"], run_name="__main__")
        except SystemExit as end:
            same, said = list(state()) == before, sys.stdout.getvalue()
            os.write(out, f"{end.code} {same} {sys.stderr.getvalue()}{said}".encode())
    """
    out = run(command=[sys.executable, "-c", code], **INSIDE).out
    assert out.startswith("0 True k_2.jpg")
