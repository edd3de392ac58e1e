"""Give the program damaged images of every format and see that it stays civil.

``python tests/fuzz.py --files 3000`` prints what it finds and exits with 1 if there
is anything: an end other than a picture or one ``error:`` line, a crash, a stray file,
or more time or memory than a file may cost. Each file is handed to the real program
in a process of its own, forked after the libraries have been loaded, so it needs a
system that can fork.
"""

import argparse
import os
import shutil
import signal
import struct
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
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
WANTED = ["output.gif", "segmented-images/k_2.jpg"]
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
PROFILED = ["JPEG", "PNG", "WEBP", "TIFF"]


def sound_images() -> dict[str, bytes]:
    """Encode one small picture in every format and kind that the libraries write.

    The first word of a name is the format.
    """
    photo = Image.fromarray(small_photo(WIDTH, HEIGHT))
    indexed, alpha = photo.quantize(16), photo.convert("RGBA")
    alpha.putalpha(photo.convert("L"))
    exif = Image.Exif()
    exif[0x0112] = 6
    pages = {"save_all": True, "append_images": [alpha, photo.convert("L")]}
    metadata = {"icc_profile": PROFILE, "xmp": b"<x/>", "exif": exif}
    deflate = {"compression": "tiff_adobe_deflate", "tiffinfo": {274: 6}}
    kinds = {
        "JPEG": (photo, {}),
        "JPEG, progressive": (photo, {"progressive": True, "exif": exif}),
        "JPEG, grey": (photo.convert("L"), {}),
        "JPEG, CMYK": (photo.convert("CMYK"), {}),
        "MPO": (photo, pages),
        "PNG": (photo, {}),
        "PNG, alpha": (alpha, {}),
        "PNG, palette": (indexed, {"transparency": 3}),
        "PNG, bits": (photo.convert("1"), {}),
        "PNG, animated": (alpha, pages),
        "WEBP": (photo, {}),
        "WEBP, lossless": (alpha, {"lossless": True}),
        "WEBP, animated": (alpha, pages),
        "BMP": (photo, {}),
        "BMP, palette": (indexed, {}),
        "GIF": (photo, {"save_all": True, "append_images": [photo, photo]}),
        "TIFF": (photo, {}),
        "TIFF, LZW": (alpha, {"compression": "tiff_lzw"}),
        "TIFF, JPEG": (photo, {"compression": "jpeg"}),
        "TIFF, pages": (photo, pages),
        "TIFF, thumbnail": (photo, {"tiffinfo": {254: 1}, **pages}),
        "TIFF, turned deflate": (photo, deflate),
        "AVIF": (photo, {}),
        "PPM": (photo, {}),
        **{f"{form}, metadata": (photo, metadata) for form in PROFILED},
    }
    images = {}
    for name, (image, options) in kinds.items():
        with suppress(KeyError, MemoryError):  # not with this Pillow
            images[name] = main.encode(image, name.split(",")[0], **options)
    deep = np.asarray(photo).astype(np.uint16) * 257
    floats = deep.astype(np.float32)
    for ending, pixels in (
        ("png", deep),
        ("tiff", deep),
        ("ppm", deep),
        ("pfm", floats),
    ):
        images[f"deep {ending}"] = cv2.imencode(f".{ending}", pixels)[1].tobytes()
    images["deep grey png"] = cv2.imencode(".png", deep[..., 0])[1].tobytes()
    return images


def with_damaged_profile(rng: np.random.Generator) -> bytes:
    """Encode a sound picture whose profile is damaged, but not what packs it."""
    photo, form = Image.fromarray(small_photo(WIDTH, HEIGHT)), rng.choice(PROFILED)
    return main.encode(photo, form, icc_profile=damage(PROFILE, rng))


def with_huge_claim(content: bytes, rng: np.random.Generator) -> bytes:
    """Put a large number where the picture's width or height may be told."""
    for form in rng.permutation([">I", "<I", ">H", "<H"]):
        for side in (WIDTH, HEIGHT):
            claim = struct.pack(form, int(rng.integers(1000, 65_536)))
            if rng.random() < 0.5:
                content = content.replace(struct.pack(form, side), claim, 1)
    return content


def damage(content: bytes, rng: np.random.Generator) -> bytes:
    """Cut, overwrite, repeat or leave out some of the bytes, more often early ones."""
    for _ in range(rng.integers(1, 4)):
        place, length = int(len(content) * rng.random() ** 3), int(rng.integers(1, 64))
        before, part = content[:place], content[place : place + length]
        after = content[place + length :]
        kinds = [
            before,
            before + rng.bytes(1) + content[place + 1 :],
            before + rng.bytes(length) + after,
            before + bytes([rng.choice([0, 127, 255])]) * 8 + content[place + 8 :],
            before + after,
            before + part + part + after,
        ]
        content = kinds[rng.integers(len(kinds))]
    return content


def run_forked(arguments: list[str], messages: Path) -> tuple[int, str]:
    """Run main.main; return its exit status, and what it cost if that is too much."""
    began = time.perf_counter()
    child = os.fork()
    if child == 0:
        signal.alarm(MOST_SECONDS)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(os.open(messages, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        sys.argv = ["main.py", *arguments]
        status = 99
        try:
            status = main.main()
        finally:
            sys.stderr.flush()
            os._exit(status)
    _, status, usage = os.wait4(child, 0)
    seconds, memory = time.perf_counter() - began, usage.ru_maxrss / PEAK_UNIT
    is_cheap = memory <= MOST_MEBIBYTES and seconds <= MOST_SECONDS
    cost = "" if is_cheap else f"{seconds:.0f} s, {memory:.0f} MiB"
    return os.waitstatus_to_exitcode(status), cost


def complaint(folder: Path, file: Path) -> tuple[str, str]:
    """Run the program on the file; return how it ended and what is wrong with that."""
    output, messages = folder / "out", folder / "messages"
    arguments = ["--path", str(file), "--ks", "2", "--output", str(output)]
    status, cost = run_forked(arguments, messages)
    files = [path for path in output.rglob("*") if path.is_file()]
    written = sorted(path.relative_to(output).as_posix() for path in files)
    shutil.rmtree(output, ignore_errors=True)
    error = messages.read_text(errors="replace")
    if status == 0:
        ended, is_right = "used", written == WANTED and not error
    else:
        is_one_line = error.startswith(f"error: {file}: ") and error.count("\n") == 1
        ended, is_right = "refused", status == 1 and is_one_line and not written
    wrong = f"status {status}, {cost}, {written}, on stderr: {error!r}"
    return ended, "" if is_right and not cost else wrong


def fuzz(files: int, seed: int, folder: Path) -> tuple[Counter, list[str]]:
    """Try so many damaged files; return how they ended and the findings.

    A file with a finding stays in the folder.
    """
    rng = np.random.default_rng(seed)
    images = sound_images()
    ends, findings = Counter(), []
    for number in range(files):
        name = list(images)[number % len(images)]
        file = folder / f"{number} {name}"
        kind = rng.integers(10)
        if kind == 0:
            file.write_bytes(with_damaged_profile(rng))
        elif kind == 1:
            file.write_bytes(with_huge_claim(images[name], rng))
        else:
            file.write_bytes(damage(images[name], rng))
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
    counts = f"{dict(sorted(ends.items()))}, {len(findings)} findings"
    print(f"{options.files} files: {counts} in {place}")
    if not findings:
        shutil.rmtree(place)
    sys.exit(bool(findings))
