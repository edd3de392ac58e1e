"""The program as its user meets it: arguments in, pictures and messages out."""

# ruff: noqa: D103 - the name of a test says what it shows

import os
import platform
import re
import signal
import socket
import sys
import time
import weakref
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, JpegImagePlugin

import main
from conftest import (
    NOISE,
    PROGRAM,
    PROJECT,
    SAMPLE,
    Pictures,
    assert_one_error_line,
    decibels,
    gif_frames,
    save,
)

README = (PROJECT / "README.md").read_text(encoding="utf-8")
needs_links = pytest.mark.skipif(os.name == "nt", reason="Windows seldom allows links")
needs_ctrl_c = pytest.mark.skipif(
    os.name == "nt", reason="Windows sends Ctrl-C to whole consoles"
)


def put_sample(folder: Path) -> None:
    """Put the sample where the program looks for it by default."""
    (folder / "images").mkdir()
    (folder / "images" / SAMPLE.name).write_bytes(SAMPLE.read_bytes())


def colours_of(pixels: np.ndarray) -> np.ndarray:
    """Return the distinct colours, (n, 3), of a picture that has at most 256."""
    return np.array([colour for _, colour in Image.fromarray(pixels).getcolors()])


def assert_only_whole_pictures(folder: Path) -> None:
    """Every file under the folder is a picture that decodes to its end."""
    for path in folder.rglob("*"):
        if path.is_file():
            assert re.fullmatch(r"k_\d+\.jpg|output\.gif", path.name), path
            with Image.open(path) as image:
                for i in range(getattr(image, "n_frames", 1)):
                    image.seek(i)
                    image.load()


# The command line


def test_the_default_run_makes_all_frames_and_prints_a_line_for_each(
    run, pictures, tmp_path
):
    put_sample(tmp_path)
    done = run()
    assert (done.status, done.err) == (0, "")
    names = [f"k_{k}.jpg" for k in main.DEFAULT_KS]
    *lines, last = done.out.splitlines()
    assert [line.split()[0] for line in lines] == names
    assert "output.gif" in last and "14 frames" in last
    written = {"output.gif", *(f"segmented-images/{name}" for name in names)}
    assert set(pictures.files()) == written | {SAMPLE.name}
    frames = pictures.gif() + [pictures.jpeg(k) for k in main.DEFAULT_KS]
    assert [frame.shape for frame in frames] == [(334, 500, 3)] * 28


def test_frames_come_in_the_order_of_ks_and_in_the_folder_of_output(
    run, pictures, tmp_path
):
    done = run("--path", SAMPLE, "--ks", 7, 2, 7, "--output", "a b/ç")
    assert done.status == 0 and not pictures.folder.exists()
    elsewhere = Pictures(tmp_path / "a b" / "ç")
    frames = elsewhere.gif()
    assert len(frames) == 3 and (frames[0] == frames[2]).all()
    assert [len(colours_of(frame[200:])) for frame in frames] == [7, 2, 7]
    assert len(elsewhere.files()) == 3


def test_the_same_seed_gives_the_same_bytes(run, pictures):
    made = []
    for seed in (5, 5, 6):
        run("--path", SAMPLE, "--ks", 9, 30, "--seed", seed)
        made.append(pictures.files())
    one, same, other = made
    assert one == same and all(one[name] != other[name] for name in one)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="names kernels of x86-64")
def test_the_same_seed_gives_the_same_bytes_on_other_processors(run, pictures):
    made = []
    for kernel in ({}, {"OPENBLAS_CORETYPE": "Nehalem"}):  # which has no fused steps
        run("--path", SAMPLE, "--ks", 10, 25, 50, **kernel)
        made.append(pictures.files())
    assert made[0] == made[1]


WRONG_ARGUMENTS = (
    "--ks|--ks 0|--ks -3|--ks 2.5|--ks 255|--seed -1|--seed x|--max-size 0|"
    "--max-size 10001|--max-size 2.5|--path|--path=|--output=|--nonsense|--p=short|"
    f"--seed {'9' * 5000}|--ks {'9' * 5000}"
)


@pytest.mark.parametrize("arguments", WRONG_ARGUMENTS.split("|"))
def test_wrong_arguments_end_with_status_2_and_the_usage(run, pictures, arguments):
    failed = run(*arguments.split())
    assert failed.status == 2 and not pictures.folder.exists()
    assert failed.err.startswith("usage:")
    assert "error:" in failed.err.splitlines()[-1] and "parse" not in failed.err


@pytest.mark.parametrize(
    "arguments, hint",
    [
        ("photo.jpg", "--path IMAGE"),
        ("path photo.jpg", "--path IMAGE"),
        ("--path my photo.jpg", "--path IMAGE"),
        ("-p photo.jpg", "--path IMAGE"),
        ("—path photo.jpg", "--path IMAGE"),
        ("--ks 2 4 photo.jpg", "--path IMAGE"),
        ("--ks 8,16", "--ks 2 4 8"),
        ("--ks 2-10", "--ks 2 4 8"),
        ("--output result.gif", "give a folder"),
        ("--output a/B.JPEG", "give a folder"),
    ],
)
def test_people_are_told_what_to_type(run, tmp_path, arguments, hint):
    failed = run(*arguments.split())
    assert failed.status == 2 and hint in failed.err.splitlines()[-1]
    assert not list(tmp_path.iterdir())


def test_the_results_may_go_into_a_folder_that_is_named_like_a_picture(run, tmp_path):
    (tmp_path / "mine.gif").mkdir()
    done = run("--path", SAMPLE, "--ks", 2, "--output", "mine.gif")
    assert done.status == 0 and (tmp_path / "mine.gif" / "output.gif").exists()


def test_the_help_fits_the_screen_and_has_an_example(run):
    lines = run("--help", COLUMNS="80").out.splitlines()
    assert max(map(len, lines)) <= 80
    assert "default: 500" in " ".join(lines) and "True" not in " ".join(lines)
    assert lines[-1].startswith("example: python main.py --path")


def test_a_python_that_is_too_old_is_told_so(run):
    as_if_old = (
        "import runpy, sys; sys.version_info = (3, 9); "
        "runpy.run_path(sys.argv[1], run_name='__main__')"
    )
    program = [sys.executable, "-c", as_if_old, PROJECT / "main.py"]
    assert_one_error_line(run(command=program), "Python 3.10 or newer")


def test_as_many_clusters_as_the_palette_holds_can_be_asked_for(
    run, pictures, tmp_path
):
    run("--path", save(tmp_path / "noise.png", NOISE), "--ks", main.MAX_K)
    assert main.MAX_K <= len(colours_of(pictures.gif()[0])) <= 256


@pytest.mark.parametrize("arguments", [["--help"], ["--path", SAMPLE, "--ks", "2"]])
def test_it_runs_without_docstrings(run, arguments):
    done = run(*arguments, command=[sys.executable, "-OO", PROJECT / "main.py"])
    assert (done.status, done.err) == (0, "")


@pytest.mark.skipif(os.name == "nt", reason="closes it with a shell")
@pytest.mark.parametrize("closed", ["2>&-", "0<&- 2>&-"])
@pytest.mark.parametrize("arguments", ["--path absent.jpg", "--ks 0"])
def test_an_error_never_goes_to_stdout(run, arguments, closed):
    shell = ["sh", "-c", f'exec "$@" {closed}', "sh"]
    failed = run(*arguments.split(), command=[*shell, *PROGRAM])
    assert failed.status in (1, 2) and failed.out == ""


def test_importing_does_nothing(run, tmp_path):
    done = run(
        command=[sys.executable, "-c", "import main"],
        PYTHONPATH=str(PROJECT),
        PYTHONDONTWRITEBYTECODE="1",
    )
    assert (done.status, done.out, done.err) == (0, "", "")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "name", ["with space.png", "número-ß-图.png", "no-ending", "wrong.jpg", "-dash.png"]
)
def test_a_file_may_have_any_name(run, tmp_path, name):
    save(tmp_path / name, NOISE, format="PNG")
    done = run(f"--path={name}", "--ks", 3)
    assert (done.status, done.err) == (0, "")


def test_output_names_that_the_console_cannot_show_are_escaped(run):
    options = ["--path", SAMPLE, "--ks", 2, "--output", "图\n"]
    done = run(*options, PYTHONIOENCODING="ascii")
    assert (done.status, done.err) == (0, "")
    assert r"\u56fe\n" in done.out.splitlines()[-1]


def test_a_file_that_is_no_image_gets_one_clear_line(run, pictures, tmp_path):
    (tmp_path / "text.jpg").write_text("not an image")
    assert_one_error_line(run("--path", "text.jpg"), "text.jpg: is not an image")
    assert not pictures.folder.exists()


@pytest.mark.parametrize("path", ["absent.jpg", ".", os.devnull, "a\nb", "x" * 300])
def test_a_path_that_is_no_file_gets_one_clear_line(run, path):
    assert_one_error_line(run("--path", path), path.replace("\n", r"\n"))


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such files")
@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_what_may_never_end_is_not_opened(run, tmp_path, kind):
    if kind == "pipe":
        os.mkfifo(tmp_path / "it")
    else:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(tmp_path / "it"))
    assert_one_error_line(run("--path", "it"), "it: is a folder, a pipe or a device")


# What the README shows


def test_the_demo_is_what_the_default_run_makes(run, pictures, tmp_path):
    put_sample(tmp_path)
    run()
    demo = gif_frames(PROJECT / "images" / "demo.gif")
    for k, frame, shown in zip(main.DEFAULT_KS, pictures.gif(), demo, strict=True):
        assert (frame == shown).all(), f"k={k}: make demo.gif anew"


def test_the_example_repaints_its_image(run, tmp_path):
    example = re.search("```python\n(.*?)```", README, re.DOTALL)[1]
    put_sample(tmp_path)
    done = run(command=[sys.executable, "-c", example], PYTHONPATH=str(PROJECT))
    assert (done.status, done.err) == (0, "")
    with Image.open(tmp_path / "painted.png") as painted, Image.open(SAMPLE) as sample:
        assert len(painted.getcolors()) == 8 and painted.size == sample.size
        assert decibels(np.asarray(painted), np.asarray(sample)) > 24


def test_the_readme_and_the_program_name_the_same_numbers(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["main.py"])
    defaults = main.parse_arguments()
    for words in (
        f"| `--path IMAGE` | `{defaults.path.as_posix()}` |",
        f"| `--seed N` | {defaults.seed} |",
        f"| `--output DIR` | `{defaults.output}` |",
        f"| `--ks K [K ...]` | {' '.join(map(str, main.DEFAULT_KS))} |",
        f"1 to {main.MAX_K}, one frame each",
        f"| `--max-size N` | {main.DEFAULT_SIZE} |",
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


def test_every_pixel_has_the_colour_of_its_nearest_centroid(run, pictures, tmp_path):
    photo = main.resize_image(main.read_image(SAMPLE)[0])
    run("--path", save(tmp_path / "photo.png", photo))
    pixels = photo[100::3, ::3].astype(float)  # below the label, and a ninth of them
    for k, frame in zip(main.DEFAULT_KS, pictures.gif(), strict=True):
        palette = colours_of(frame[100:])
        assert len(palette) <= k <= len(colours_of(frame))
        chosen = np.linalg.norm(pixels - frame[100::3, ::3], axis=2)
        nearest = np.min([np.linalg.norm(pixels - c, axis=2) for c in palette], axis=0)
        assert (chosen <= nearest + np.sqrt(3)).all()  # a centroid's two roundings


def test_jpegs_are_close_to_their_frames_and_keep_full_colour(run, pictures):
    run("--path", SAMPLE, "--ks", 2, 8, 50)
    for k, frame in zip((2, 8, 50), pictures.gif(), strict=True):
        assert decibels(pictures.jpeg(k), frame) > 34
        with Image.open(pictures.jpeg_path(k)) as image:
            assert JpegImagePlugin.get_sampling(image) == 0  # 4:4:4


def test_an_image_of_few_colours_comes_back_as_it_is(run, pictures, tmp_path):
    flag = np.zeros((90, 120, 3), np.uint8)
    flag[:, :40], flag[:, 40:80], flag[:, 80:] = (200, 30, 40), (9, 180, 60), (3, 6, 22)
    done = run("--path", save(tmp_path / "flag.png", flag))
    for frame in pictures.gif()[2:]:
        assert (frame[45:] == flag[45:]).all()
    first, *lines = done.out.splitlines()
    assert first.startswith("3 colours in all: from k=3 on, the frames are the image")
    assert [("inf dB" in line) for line in lines[:-1]] == [False] * 2 + [True] * 12


def test_the_palette_tells_the_colours_of_a_frame_and_their_shares(
    run, pictures, tmp_path
):
    tiny = NOISE[:12, :12]  # too small for a label, which would hide some
    path = save(tmp_path / "tiny.png", tiny)
    plain, done = (
        run("--path", path, "--ks", 9, 144, *more) for more in ([], ["--palette"])
    )
    printed = [line for line in done.out.splitlines() if line.startswith("  ")]
    wanted = []
    for frame in pictures.gif():
        ranked = sorted(
            (-count, colour) for count, colour in Image.fromarray(frame).getcolors()
        )
        wanted += [
            f"  #{bytes(colour).hex()} {-count / 1.44:5.1f} %"
            for count, colour in ranked
        ]
    assert printed == wanted and len(wanted) == 9 + 144
    rest = [line for line in done.out.splitlines() if line not in printed]
    assert rest[:-1] == plain.out.splitlines()[:-1]


def test_the_printed_decibels_are_those_of_the_frame(run, pictures, tmp_path):
    tiny = NOISE[:12, :12]  # too small for a label
    done = run("--path", save(tmp_path / "tiny.png", tiny), "--ks", 3, 40)
    printed = [float(line.split()[-2]) for line in done.out.splitlines()[:-1]]
    assert printed == [round(decibels(frame, tiny), 2) for frame in pictures.gif()]


def test_equal_frames_are_shown_as_long_as_all_of_them(run, pictures, tmp_path):
    flag = np.zeros((20, 20, 3), np.uint8)  # too small for a label
    flag[:9] = (200, 30, 40)
    run("--path", save(tmp_path / "flag.png", flag), "--ks", 1, 2, 3, 2)
    first, *others = pictures.gif()
    assert (first == first[0, 0]).all()
    assert len(others) == 3 and all((frame == flag).all() for frame in others)


# Clean and large frames


def test_a_frame_without_a_label_is_its_palette_and_nothing_else(run, pictures):
    done = run("--path", SAMPLE, "--ks", 8, 50, "--no-label", "--palette")
    printed = re.findall(r"^  #(\w{6}) ", done.out, re.MULTILINE)
    for frame, colours in zip(pictures.gif(), (printed[:8], printed[8:]), strict=True):
        shown = [bytes(colour).hex() for colour in colours_of(frame).tolist()]
        assert sorted(shown) == sorted(colours)


def test_the_label_changes_no_pixel_but_its_own(run, pictures):
    made = []
    for more in ([], ["--no-label"]):
        run("--path", SAMPLE, "--ks", 2, 8, 50, 254, *more)
        made.append(pictures.gif())
    for labelled, plain in zip(*made, strict=True):
        drawn = labelled[(labelled != plain).any(axis=2)]
        assert len(drawn) > 100
        assert {bytes(colour) for colour in drawn} == {b"\0\0\0", b"\xff\xff\xff"}


@pytest.mark.parametrize(
    "side, wanted",
    [(1, (1, 1)), (499, (499, 374)), (1200, (1200, 900)), (9999, (1600, 1200))],
)
@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_the_longest_side_may_be_chosen(run, pictures, tmp_path, side, wanted, ending):
    stripes = np.where(np.indices((1200, 1600, 3))[1] % 4 < 2, 20, 230).astype(np.uint8)
    path = save(tmp_path / f"stripes.{ending}", stripes)
    run("--path", path, "--ks", 2, "--max-size", side, "--no-label")
    (frame,) = pictures.gif()
    assert frame.shape[1::-1] == wanted == pictures.jpeg(2).shape[1::-1]
    if side == 9999:  # nothing is skipped in decoding that the frame shows
        assert np.abs(frame - stripes.astype(int)).mean() < 20


# The label


@pytest.mark.parametrize(
    "height, width", [(40, 40), (500, 60), (60, 500), (150, 200), (300, 400)]
)
def test_the_label_fits_and_is_centred(run, pictures, tmp_path, height, width):
    grey = np.full((height, width, 3), 127, np.uint8)
    run("--path", save(tmp_path / "in.png", grey), "--ks", 50, 254)
    for frame in pictures.gif():
        rows, columns = np.nonzero((frame != 127).any(axis=2))
        assert columns.min() > 0 and columns.max() < width - 1
        assert abs(columns.min() + columns.max() - (width - 1)) <= 3
        assert rows.min() > 0 and rows.max() < height / 3
        assert rows.max() - rows.min() >= min(14, min(height, width) // 5)


@pytest.mark.parametrize("width", [20, 28, 31, 34, 37, 40])
def test_all_frames_have_a_label_or_none_has(run, pictures, tmp_path, width):
    labelled = set()
    for height in (width, 500):
        grey = np.full((height, width, 3), 127, np.uint8)
        run("--path", save(tmp_path / "in.png", grey), "--ks", 2, 50, 254)
        frames = {bool((frame != 127).any()) for frame in pictures.gif()}
        assert len(frames) == 1
        labelled |= frames
    if width in (20, 40):
        assert labelled == {width == 40}


# The files it leaves


def test_a_failed_run_leaves_everything_as_it_was(run, pictures, tmp_path):
    run("--path", SAMPLE, "--ks", 2, 3)
    before = pictures.files()
    (tmp_path / "cut.jpg").write_bytes(SAMPLE.read_bytes()[:-2000])
    assert_one_error_line(run("--path", "cut.jpg"), "cut.jpg: cannot be decoded")
    assert pictures.files() == before


def test_frames_of_earlier_runs_go_and_other_files_stay(run, pictures):
    run("--path", SAMPLE, "--ks", 2, 3)
    (pictures.folder / "mine.txt").write_text("mine")
    (pictures.folder / "segmented-images" / "k_notes.jpg").write_text("mine")
    (pictures.folder / "segmented-images" / "k_08.jpg").write_text("mine")
    (pictures.folder / "segmented-images" / "k_255.jpg").write_text("mine")
    pictures.jpeg_path(9).mkdir()
    done = run("--path", SAMPLE, "--ks", 4)
    kept = {
        "mine.txt",
        "output.gif",
        "segmented-images/k_notes.jpg",
        "segmented-images/k_08.jpg",
        "segmented-images/k_255.jpg",
        "segmented-images/k_4.jpg",
    }
    assert set(pictures.files()) == kept and (done.status, done.err) == (0, "")
    assert pictures.jpeg_path(9).is_dir()


@needs_links
def test_an_earlier_frame_that_is_the_input_is_kept(run, pictures, tmp_path):
    run("--path", SAMPLE, "--ks", 3)
    before = pictures.jpeg_path(3).read_bytes()
    (tmp_path / "link.jpg").symlink_to(pictures.jpeg_path(3))
    done = run("--path", "link.jpg", "--ks", 2)
    assert done.status == 0 and pictures.jpeg_path(3).read_bytes() == before


@needs_links
@pytest.mark.parametrize(
    "result, spelling",
    [
        ("segmented-images/k_2.jpg", "plain"),
        ("segmented-images/k_2.jpg", "roundabout"),
        ("segmented-images/k_2.jpg", "hard link"),
        ("output.gif", "plain"),
        ("output.gif", "link"),
    ],
)
def test_the_input_is_never_replaced(run, pictures, tmp_path, result, spelling):
    target = pictures.folder / result
    target.parent.mkdir(parents=True)
    target.write_bytes(SAMPLE.read_bytes())
    path = tmp_path / "link"
    if spelling == "plain":
        path = target
    elif spelling == "roundabout":
        path = tmp_path / "images" / ".." / "images" / result
    elif spelling == "link":
        path.symlink_to(target)
    else:
        os.link(target, path)
    failed = run("--path", path, "--ks", 4, 2)
    assert_one_error_line(failed, path)
    assert "choose another --output" in failed.err
    assert pictures.files() == {result: SAMPLE.read_bytes()}


@pytest.mark.parametrize("place", ["images", "images/segmented-images"])
def test_a_file_in_the_place_of_a_folder_is_left_alone(run, tmp_path, place):
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_text("mine")
    assert_one_error_line(run("--path", SAMPLE), Path(place))
    assert (tmp_path / place).read_text() == "mine"


def test_a_folder_in_the_place_of_a_file_is_left_alone(run, pictures):
    (pictures.folder / "output.gif").mkdir(parents=True)
    assert_one_error_line(run("--path", SAMPLE, "--ks", 2), "output.gif")
    assert (pictures.folder / "output.gif").is_dir()
    assert_only_whole_pictures(pictures.folder)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a folder nobody can fill")
def test_an_output_folder_that_cannot_be_made_gets_one_clear_line(run):
    assert_one_error_line(run("--path", SAMPLE, "--output", "/proc/no"), "/proc/no")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_under_the_printed_lines_gets_one_clear_line(run):
    with Path("/dev/full").open("w") as full:
        failed = run("--path", SAMPLE, stdout=full)
    assert_one_error_line(failed, "standard output: ")


def test_a_full_disk_leaves_the_earlier_animation(run, pictures):
    pictures.folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", pictures.folder]
    if sys.platform != "linux" or run(command=mount).status:
        pytest.skip("cannot mount a small disk here")
    try:
        run("--path", SAMPLE, "--ks", 2)
        before = pictures.files()
        assert_one_error_line(run("--path", SAMPLE), "images")
        assert pictures.files()["output.gif"] == before["output.gif"]
        assert_only_whole_pictures(pictures.folder)
    finally:
        assert run(command=["umount", pictures.folder]).status == 0


def test_killing_it_leaves_no_half_picture(start, pictures):
    arguments = ["--path", SAMPLE, "--ks", *range(1, 9)]  # soon fitted, so it writes
    began = time.perf_counter()
    start(*arguments).communicate()
    took = time.perf_counter() - began
    for fraction in np.linspace(0.2, 1, 8):
        process = start(*arguments)
        time.sleep(took * fraction)
        process.kill()
        process.communicate()
        for path in pictures.folder.rglob(".*.tmp"):
            path.unlink()
        assert_only_whole_pictures(pictures.folder)


@needs_ctrl_c
def test_ctrl_c_ends_it_quietly(start, pictures):
    process = start("--path", SAMPLE)
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert (process.returncode, err) == (130, "")
    assert_only_whole_pictures(pictures.folder)


@needs_ctrl_c
def test_ctrl_c_for_others_does_not_end_it_in_the_background(start):
    ignoring = ["sh", "-c", 'trap "" INT; exec "$@"', "sh"]
    process = start("--path", SAMPLE, command=[*ignoring, *PROGRAM])
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait() == 0


@needs_ctrl_c
def test_ctrl_c_while_the_libraries_load_leaves_no_traceback(start):
    timed = [sys.executable, "-X", "importtime", PROJECT / "main.py"]
    process = start(command=timed)
    assert any("argparse" in line for line in process.stderr)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == -signal.SIGINT and "Traceback" not in err


def test_a_reader_that_goes_away_ends_it_quietly(start, pictures):
    process = start("--path", SAMPLE)
    assert process.stdout.readline().startswith("k_1.jpg")
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait() == 141
    assert_only_whole_pictures(pictures.folder)


@pytest.mark.skipif(os.name == "nt", reason="Windows knows none of these limits")
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
    where = {"MAIN": str(PROJECT / "main.py"), "PYTHONPATH": str(PROJECT)}
    done = run(command=[sys.executable, "-c", code], **where)
    assert done.out.startswith("0 True k_2.jpg"), done.out + done.err


def test_two_runs_into_one_folder_leave_whole_pictures(start, pictures):
    runs = [start("--path", SAMPLE, "--seed", seed) for seed in range(2)]
    assert [process.communicate()[1] for process in runs] == ["", ""]
    assert [process.returncode for process in runs] == [0, 0]
    assert_only_whole_pictures(pictures.folder)


# Added with the full-size work


@pytest.mark.parametrize("arguments", ["--k 8", "-k 8", "--colors 8", "--n-colors 8"])
def test_other_names_of_ks_are_explained(run, tmp_path, arguments):
    failed = run(*arguments.split())
    last = failed.err.splitlines()[-1]
    assert failed.status == 2 and "--ks 2 4 8" in last and "--path IMAGE" in last
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("label", [[], ["--no-label"]])
def test_png_frames_are_those_of_the_gif(run, pictures, label):
    done = run("--path", SAMPLE, "--ks", 3, 50, "--png", "--palette", *label)
    assert (done.status, done.err) == (0, "")
    names = ["segmented-images/k_3.png", "segmented-images/k_50.png"]
    assert sorted(pictures.files()) == ["output.gif", *names]
    printed = re.findall(r"^  #(\w{6}) ", done.out, re.MULTILINE)
    printed = {3: printed[:3], 50: printed[3:]}
    for k, frame, name in zip((3, 50), pictures.gif(), names, strict=True):
        with Image.open(pictures.folder / name) as png:
            assert (np.asarray(png.convert("RGB")) == frame).all()
            shares = np.bincount(np.asarray(png).ravel(), minlength=k)
            palette = bytes(png.getpalette())
        colours = [palette[3 * i : 3 * i + 3].hex() for i in range(k)]
        assert colours == printed[k] and len(shares) == (k if label else k + 2)
        assert (not label) or (np.diff(shares) <= 0).all()


@pytest.mark.parametrize("first, second", [([], ["--png"]), (["--png"], [])])
def test_frames_of_the_other_kind_are_earlier_frames(run, pictures, first, second):
    run("--path", SAMPLE, "--ks", 2, 3, *first)
    run("--path", SAMPLE, "--ks", 3, *second)
    kept = "segmented-images/k_3." + ("png" if second else "jpg")
    assert set(pictures.files()) == {"output.gif", kept}


def test_an_input_among_the_frames_is_kept_or_the_run_refused(run, pictures):
    path = pictures.folder / "segmented-images" / "k_3.png"
    path.parent.mkdir(parents=True)
    save(path, NOISE)
    before = path.read_bytes()
    assert_one_error_line(run("--path", path, "--ks", 3, "--png"), "--output")
    assert pictures.files() == {"segmented-images/k_3.png": before}
    assert run("--path", path, "--ks", 2, "--png").status == 0
    assert path.read_bytes() == before


@pytest.mark.parametrize("shape", [(1000, 1000), (1100, 1000)])
def test_distinct_colours_are_those_of_the_pixels(shape):
    """Small images are sorted, large ones use a table."""
    rng = np.random.default_rng(0)
    image = rng.integers(100, 164, (*shape, 3), dtype=np.uint8)
    colours, counts, colour_of_pixel = main.distinct_colours(image)
    assert (colours[colour_of_pixel] == image.reshape(-1, 3)).all()
    assert (counts == np.bincount(colour_of_pixel)).all()
    packed = colours.astype(int) @ (65536, 256, 1)
    assert (np.diff(packed) > 0).all()


@pytest.mark.parametrize("end", [MemoryError(), OSError("encoder error -9")])
def test_where_memory_ends_no_part_of_the_frames_is_left(
    monkeypatch, capsys, tmp_path, end
):
    monkeypatch.chdir(tmp_path)
    pictures = Pictures(tmp_path / "images")
    arguments = ["main.py", "--path", str(SAMPLE), "--ks", "2", "3"]
    monkeypatch.setattr(sys, "argv", arguments)
    assert main.main() == 0
    before = pictures.files()
    usual = Image.Image.save

    def fail(picture: Image.Image, file: object, form: str, **options: object) -> None:
        for _ in options.get("append_images", []):
            pass  # Pillow takes all frames before it writes them
        if form == "GIF":
            raise end
        usual(picture, file, form, **options)

    monkeypatch.setattr(Image.Image, "save", fail)
    monkeypatch.setattr(sys, "argv", [*arguments, "--png"])
    assert main.main() == 1
    assert "lower --max-size" in capsys.readouterr().err
    assert pictures.files() == before


def test_frames_go_into_the_animation_as_they_are_made(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    arguments = ["main.py", "--path", str(SAMPLE), "--ks", *map(str, range(2, 12))]
    monkeypatch.setattr(sys, "argv", arguments)
    frames, most = [], 0
    usual = main.paint

    def paint(*arguments: object) -> Image.Image:
        nonlocal most
        frames[:] = [frame for frame in frames if frame() is not None]
        most = max(most, len(frames))
        frame = usual(*arguments)
        frames.append(weakref.ref(frame))
        return frame

    monkeypatch.setattr(main, "paint", paint)
    assert main.main() == 0
    assert most <= 2  # the first one, and the one before


@pytest.mark.skipif(os.name == "nt", reason="needs no other way there")
def test_a_failed_import_leaves_ctrl_c_as_it_was(run):
    code = """if True:
        import os, runpy, signal, sys
        sys.modules["cv2"] = None
        try:
            runpy.run_path(os.environ["MAIN"], run_name="__main__")
        except ImportError:
            print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
    """
    where = {"MAIN": str(PROJECT / "main.py"), "PYTHONPATH": str(PROJECT)}
    assert run(command=[sys.executable, "-c", code], **where).out == "True\n"


@pytest.mark.parametrize("side", [40, 64, 100, 200, 500, 1000, 3024, 10_000])
def test_the_edge_of_a_label_leaves_no_speck_in_its_letters(side):
    """A hole of a letter is filled by the edge, or it is large enough to be seen."""
    _, edge = main.make_labels([8], side, side)[8]
    outside = (~np.asarray(edge)).astype(np.uint8)
    sizes = cv2.connectedComponentsWithStats(outside)[2][1:, cv2.CC_STAT_AREA]
    assert side < 1000 or (sizes > edge.height**2 / 250).all()
