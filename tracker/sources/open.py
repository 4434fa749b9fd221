"""From what the user writes after ``--source`` to a source of frames."""

from __future__ import annotations

import difflib
import glob
import re
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path

from tracker.errors import SourceError
from tracker.sources.base import FrameSource, OnEvent, ignore_event
from tracker.sources.decoding import DecoderName
from tracker.sources.memory import keep_freed_memory

POSSIBLE = (
    "webcam, webcam:1, webcam:/dev/video2, a video file, a folder or pattern of images ('shots/*.png'), "
    "an rtsp:// or http:// URL, or test"
)
VIDEO_SUFFIXES = frozenset(
    {
        ".mp4",
        ".mov",
        ".m4v",
        ".mkv",
        ".webm",
        ".avi",
        ".mpg",
        ".mpeg",
        ".ts",
        ".mts",
        ".wmv",
        ".flv",
        ".gif",
        ".ogv",
        ".3gp",
    }
)


def open_source(
    spec: str,
    *,
    size: tuple[int, int] | None = None,
    fps: float | Fraction | None = None,
    start_s: float = 0,
    end_s: float | None = None,
    threads: int = 1,
    decoder: DecoderName = "cpu",
    on_event: OnEvent | None = None,
) -> FrameSource:
    """Open what ``spec`` names.

    - ``webcam``, ``webcam:1``, ``webcam:/dev/video2``: a camera; ``size`` (width, height) and ``fps`` are asked of it.
    - ``test``, ``test:300``: a moving synthetic face, endless or of 300 frames, of ``size`` and ``fps``.
    - a video file; ``start_s`` and ``end_s`` (seconds from its beginning) cut a part out of it.
    - a folder of images, one image, a pattern (``*``, ``?``, ``[0-9]``, ``%04d``); ``fps`` is their rate, 30 if not given.
    - an ``rtsp://``, ``http://`` … URL.

    ``threads`` is for decoding video on the CPU. ``decoder`` ``nvdec`` has an NVIDIA GPU decode a video file, ``auto`` does so
    where it can, and tells through ``on_event`` when it cannot for this file. A setting that means nothing for the kind of
    source is refused rather than ignored. Also tunes the allocator of this process for frames (``keep_freed_memory``).

    Raises:
        SourceError: in one line, what is wrong with it and what would be right.
    """
    if not spec:
        raise SourceError(f"no source given; possible are {POSSIBLE}")
    keep_freed_memory()
    rate = _rate(fps)
    kind, _, rest = spec.partition(":")
    is_camera, is_test = kind == "webcam", kind == "test"
    is_url = re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", spec) is not None
    images = None if is_camera or is_test or is_url else image_files(spec)
    if size is not None and not (is_camera or is_test):
        raise SourceError(f"a size can be asked of webcam and test only; {spec} has its own")
    if rate is not None and not (is_camera or is_test or images):
        raise SourceError(f"a frame rate can be given for webcam, test and images only; {spec} has its own")
    if (start_s or end_s is not None) and (is_camera or is_test or is_url or images):
        raise SourceError(f"start and end can be given for video files only, not for {spec}")
    if decoder == "nvdec" and (is_camera or is_test or is_url or images):
        raise SourceError(f"NVDEC decodes video files, not {spec}; leave out --decoder nvdec")
    if is_camera:
        from tracker.sources.webcam import open_webcam

        return open_webcam(_camera_device(spec, rest), size=size, rate=rate, on_event=on_event)
    if is_test:
        return _synthetic(spec, rest, size, rate)
    if is_url:
        return _url(spec, threads, on_event)
    if images:
        from tracker.sources.images import ImageFiles

        return ImageFiles(images, name=spec, rate=rate, on_event=on_event)
    from tracker.sources.video import VideoFile

    open_file = partial(VideoFile, Path(spec).expanduser(), start_s=start_s, end_s=end_s, on_event=on_event)
    on_gpu = None if decoder == "cpu" else _on_gpu(open_file, decoder, on_event)
    return open_file(threads=threads) if on_gpu is None else on_gpu


def _on_gpu(
    open_file: Callable[..., FrameSource], decoder: DecoderName, on_event: OnEvent | None
) -> FrameSource | None:
    """A video file that the GPU decodes; None when it cannot and need not."""
    from tracker.sources.nvdec import NvdecError, missing

    if decoder == "auto" and missing() is not None:
        return None
    try:
        return open_file(nvdec=True)
    except NvdecError as error:
        if decoder == "nvdec":
            raise SourceError(f"{error}; or leave out --decoder nvdec") from error
        tell = ignore_event if on_event is None else on_event
        tell("settings", f"{error}; decoding on the CPU")
        return None


def image_files(spec: str) -> list[Path] | None:
    """Return the images that ``spec`` stands for; None when it is a path to something that is no image.

    Raises:
        SourceError: it names nothing that exists, or a folder or pattern without images.
    """
    from tracker.sources.images import SUFFIXES, list_folder, natural_key

    path = Path(spec).expanduser()
    if path.is_dir():
        found = list_folder(path)
        if not found:
            raise SourceError(f"{spec} holds no images ({_inside(path)}); images are {_suffixes(SUFFIXES)}")
        return found
    if path.exists():
        return [path] if path.suffix.lower() in SUFFIXES else None
    pattern = re.sub(r"%0?\d*d", "[0-9]*", str(path))
    if not glob.has_magic(pattern):
        raise SourceError(_missing(spec, path))
    matches = sorted((Path(match) for match in glob.glob(pattern, recursive=True)), key=natural_key)
    found = [match for match in matches if match.suffix.lower() in SUFFIXES]
    if not found:
        what = "what it matches is none" if matches else "nothing matches it"
        raise SourceError(f"{spec}: no images ({what}); images are {_suffixes(SUFFIXES)}; quote patterns: '*.png'")
    return found


def _rate(fps: float | Fraction | None) -> Fraction | None:
    if fps is None:
        return None
    if not 0 < fps <= 1000:
        raise SourceError(f"a frame rate between 0 and 1000 was expected, not {float(fps):g}")
    return Fraction(fps).limit_denominator(1001)


def _camera_device(spec: str, device: str) -> str | None:
    if spec == "webcam":
        return None
    if not (device.isdecimal() or device.startswith("/")):
        raise SourceError(f"{spec}: a number or a device path was expected after webcam:, e.g. webcam:1")
    return device


def _synthetic(spec: str, count: str, size: tuple[int, int] | None, rate: Fraction | None) -> FrameSource:
    if spec != "test" and not (count.isdecimal() and int(count) > 0):
        raise SourceError(f"{spec}: a number of frames was expected after test:, e.g. test:300")
    from tracker.sources.synthetic import SyntheticSource

    frames = int(count) if count else None
    return SyntheticSource(size=size or (640, 480), rate=rate or Fraction(30), frames=frames, live=frames is None)


def _url(url: str, threads: int, on_event: OnEvent | None) -> FrameSource:
    from tracker.sources.network import SCHEMES, open_url

    scheme = url.split("://", 1)[0].lower()
    if scheme == "file":
        raise SourceError(f"{url}: give the plain path instead of a file:// URL")
    if scheme not in SCHEMES:
        raise SourceError(f"{url}: {scheme} is none of the protocols {', '.join(SCHEMES)}")
    return open_url(url, threads=threads, on_event=on_event)


def _missing(spec: str, path: Path) -> str:
    if spec.isdecimal():
        return f"{spec} is no source; for camera number {spec} write webcam:{spec}"
    folder = path.parent
    if not folder.is_dir():
        return f"{spec} does not exist, nor does its folder {folder}; possible are {POSSIBLE}"
    near = difflib.get_close_matches(path.name, [entry.name for entry in folder.iterdir()], n=2, cutoff=0.6)
    words = difflib.get_close_matches(spec, ["webcam", "test"], n=1, cutoff=0.6)
    suggestions = [str(folder / name) for name in near] + words
    if suggestions:
        return f"{spec} does not exist; did you mean {' or '.join(suggestions)}?"
    return f"{spec} does not exist; possible are {POSSIBLE}"


def _inside(folder: Path) -> str:
    names = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    videos = sorted(entry.name for entry in names if entry.suffix.lower() in VIDEO_SUFFIXES)
    if videos:
        return f"it has videos: give one of them, e.g. {folder / videos[0]}"
    return f"files in it: {len(names)}" if names else "it is empty"


def _suffixes(suffixes: frozenset[str]) -> str:
    return " ".join(sorted(suffixes))
