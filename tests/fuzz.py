"""Give the program damaged images of every format and see that it stays civil.

``python tests/fuzz.py --files 3000`` prints what it finds and exits with 1 if there
is anything: an end other than a picture or one ``error:`` line, a crash, a stray file,
or more time or memory than a file may cost. Each file is handed to the real program
in a process of its own, forked after the libraries have been loaded, so it needs a
system that can fork.
"""

import argparse
import io
import os
import shutil
import signal
import struct
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as main.py does when it is started

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import cv2
import numpy as np
from PIL import Image, ImageCms

import main
from conftest import PEAK_UNIT, small_photo

MOST_SECONDS = 10
MOST_MEBIBYTES = 1024
WIDTH, HEIGHT = 61, 41
WANTED = {"output.gif", "segmented-images/k_2.jpg"}
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
PROFILED = ["JPEG", "PNG", "WEBP", "TIFF"]


def sound_images() -> dict[str, bytes]:
    """Encode one small picture in every format and kind that the libraries write."""
    photo = Image.fromarray(small_photo(WIDTH, HEIGHT))
    alpha = photo.copy()
    alpha.putalpha(photo.convert("L"))
    deep = np.asarray(photo).astype(np.uint16) * 257
    upright = Image.Exif()
    upright[0x0112] = 6
    pages = {"save_all": True, "append_images": [alpha, photo.convert("L")]}
    profile = {"icc_profile": PROFILE, "xmp": b"<x/>", "exif": upright}
    kinds = {
        "jpeg": (photo, "JPEG", {}),
        "progressive jpeg": (photo, "JPEG", {"progressive": True, "exif": upright}),
        "grey jpeg": (photo.convert("L"), "JPEG", {}),
        "cmyk jpeg": (photo.convert("CMYK"), "JPEG", {}),
        "png": (photo, "PNG", {}),
        "alpha png": (alpha, "PNG", {}),
        "palette png": (photo.quantize(16), "PNG", {"transparency": 3}),
        "bit png": (photo.convert("1"), "PNG", {}),
        "webp": (photo, "WEBP", {}),
        "lossless webp": (alpha, "WEBP", {"lossless": True}),
        "bmp": (photo, "BMP", {}),
        "palette bmp": (photo.quantize(16), "BMP", {}),
        "gif": (photo, "GIF", {"save_all": True, "append_images": [photo, photo]}),
        "tiff": (photo, "TIFF", {}),
        "lzw tiff": (alpha, "TIFF", {"compression": "tiff_lzw"}),
        "jpeg tiff": (photo, "TIFF", {"compression": "jpeg"}),
        "tiff of pages": (photo, "TIFF", pages),
        "tiff with a thumbnail": (photo, "TIFF", {"tiffinfo": {254: 1}, **pages}),
        "turned deflate tiff": (
            photo,
            "TIFF",
            {"compression": "tiff_adobe_deflate", "tiffinfo": {274: 6}},
        ),
        "jpeg of pictures": (photo, "MPO", pages),
        "animated webp": (alpha, "WEBP", pages),
        "animated png": (alpha, "PNG", pages),
        **{f"{form} with a profile": (photo, form, profile) for form in PROFILED},
        "avif": (photo, "AVIF", {}),
        "ppm": (photo, "PPM", {}),
    }
    images = {}
    for name, (image, form, options) in kinds.items():
        buffer = io.BytesIO()
        try:
            image.save(buffer, form, **options)
        except (KeyError, OSError):
            continue  # not with this Pillow
        images[name] = buffer.getvalue()
    for name, ending, pixels in (
        ("deep png", ".png", deep),
        ("deep grey png", ".png", deep[..., 0]),
        ("deep tiff", ".tiff", deep),
        ("deep ppm", ".ppm", deep),
        ("pfm", ".pfm", deep.astype(np.float32)),
    ):
        images[name] = cv2.imencode(ending, pixels)[1].tobytes()
    return images


def with_damaged_profile(rng: np.random.Generator) -> bytes:
    """Encode a sound picture whose profile is damaged, but not what packs it."""
    buffer = io.BytesIO()
    profile = damage(PROFILE, rng)
    photo = Image.fromarray(small_photo(WIDTH, HEIGHT))
    photo.save(buffer, rng.choice(PROFILED), icc_profile=profile)
    return buffer.getvalue()


def with_huge_claim(content: bytes, rng: np.random.Generator) -> bytes:
    """Put a large number where the picture's width or height may be told."""
    for form in rng.permutation([">I", "<I", ">H", "<H"]):
        for side in (WIDTH, HEIGHT):
            told, claim = struct.pack(form, side), int(rng.integers(1000, 65_536))
            if rng.random() < 0.5:
                content = content.replace(told, struct.pack(form, claim), 1)
    return content


def damage(content: bytes, rng: np.random.Generator) -> bytes:
    """Cut, overwrite, repeat or leave out some of the bytes, more often early ones."""
    data = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        place = int(len(data) * rng.random() ** 3)
        length = int(rng.integers(1, 64))
        noise = rng.bytes(length)
        extreme = bytes([rng.choice([0, 127, 255])]) * min(length, 8)
        kind = rng.integers(6)
        if kind == 0:
            del data[place:]
        elif kind == 1:
            data[place : place + 1] = noise[:1]
        elif kind == 2:
            data[place : place + length] = noise
        elif kind == 3:
            data[place : place + len(extreme)] = extreme
        elif kind == 4:
            del data[place : place + length]
        else:
            data[place:place] = data[place : place + length]
    return bytes(data)


def run_forked(arguments: list[str], messages: Path) -> tuple[int, float, float]:
    """Run main.main; return its exit status, seconds and peak memory in MiB."""
    began = time.perf_counter()
    child = os.fork()
    if child == 0:
        signal.alarm(MOST_SECONDS)
        sink = os.open(messages, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(sink, 2)
        sys.argv = ["main.py", *arguments]
        status = 99
        try:
            status = main.main()
        finally:
            sys.stderr.flush()
            os._exit(status)
    _, status, usage = os.wait4(child, 0)
    status = os.waitstatus_to_exitcode(status)
    return status, time.perf_counter() - began, usage.ru_maxrss / PEAK_UNIT


def complaint(folder: Path, file: Path) -> tuple[str, str]:
    """Run the program on the file; return how it ended and what is wrong with that."""
    output, messages = folder / "out", folder / "messages"
    arguments = ["--path", str(file), "--ks", "2", "--output", str(output)]
    status, seconds, memory = run_forked(arguments, messages)
    files = [path for path in output.rglob("*") if path.is_file()]
    written = {path.relative_to(output).as_posix() for path in files}
    for path in files:
        path.unlink()
    error = messages.read_text(errors="replace")
    if status == 0:
        ended, is_right = "used", written == WANTED and not error
    else:
        is_one_line = error.startswith(f"error: {file}: ") and error.count("\n") == 1
        ended, is_right = "refused", status == 1 and is_one_line and not written
    is_cheap = memory <= MOST_MEBIBYTES and seconds <= MOST_SECONDS
    if is_right and is_cheap:
        return ended, ""
    cost = f"{seconds:.0f} s, {memory:.0f} MiB"
    return ended, f"status {status}, {cost}, {sorted(written)}, on stderr: {error!r}"


def fuzz(files: int, seed: int, folder: Path) -> tuple[Counter, list[str]]:
    """Try so many damaged files; return how they ended and the findings.

    A file with a finding stays in the folder.
    """
    rng = np.random.default_rng(seed)
    images = sound_images()
    names = list(images)
    ends, findings = Counter(), []
    for number in range(files):
        name = names[number % len(names)]
        file = folder / f"{number} {name}"
        kind = rng.integers(10)
        if kind == 0:
            content = with_damaged_profile(rng)
        elif kind == 1:
            content = with_huge_claim(images[name], rng)
        else:
            content = damage(images[name], rng)
        file.write_bytes(content)
        ended, wrong = complaint(folder, file)
        ends[ended] += 1
        if wrong:
            findings.append(f"{file}: {wrong}")
        else:
            file.unlink()
    return ends, findings


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--files", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="fuzz-"))
    ends, findings = fuzz(options.files, options.seed, place)
    for finding in findings:
        print(finding)
    ended = dict(sorted(ends.items()))
    print(f"{options.files} files: {ended}, {len(findings)} findings in {place}")
    if not findings:
        shutil.rmtree(place)
    sys.exit(bool(findings))
