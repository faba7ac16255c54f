"""How many cuts are found, and how many are seen where there is none.

Films are made of clips cut together at random, coded as H.264, and read again. Each kind of cut is a row, and so is
each thing that might be taken for one. A hard cut counts as found within one frame, a fade anywhere in its length;
every other cut that is named is invented. The file is long because the kinds stand in it, each a few lines that make
one film: to read what is counted is to read them all.

    python benchmarks/cuts.py VIDEO ... --stills FOLDER [--films 12] [--seed 1] [--kinds jumps,dissolves] [--cost VIDEO]
    python benchmarks/cuts.py … --half first             # thresholds are chosen on this half of the clips,
    python benchmarks/cuts.py … --half second            # and what is reported is measured on that
    python benchmarks/cuts.py … --detector adaptive      # PySceneDetect's, where it is installed; or content
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from sasmamba.app.io.shot_cuts import CutFinder
from sasmamba.app.io.video_file import VideoFile
from sasmamba.app.types import Frame

Picture = NDArray[np.uint8]
Rng = np.random.Generator
T = TypeVar("T")

WIDTH, HEIGHT = 640, 360
#: Parts of one clip that are cut together are at least so far apart: nearer, nobody has moved.
APART_S = 0.5
SHOT_S = (0.6, 2.4)


@dataclass
class Film:
    """Pictures, and where cuts are: first and last frame at which each may be named."""

    pictures: list[Picture] = field(default_factory=list)
    cuts: list[tuple[int, int]] = field(default_factory=list)

    def cut_to(self, shot: list[Picture]) -> None:
        if self.pictures:
            at = len(self.pictures)
            self.cuts.append((at - 1, at + 1))
        self.pictures += shot

    def fade_to(self, shot: list[Picture], mixed: int, black: int | None = None) -> None:
        """Dissolves over so many frames or, with so many black ones between, through black."""
        if not self.pictures:
            self.pictures += shot
            return
        if black is None:
            before, self.pictures = self.pictures[-mixed:], self.pictures[:-mixed]
            weights = [(i + 1) / (mixed + 1) for i in range(mixed)]
            between = [_mix(a, b, w) for a, b, w in zip(before, shot, weights, strict=False)]
            rest = shot[mixed:]
        else:
            half = max(1, mixed // 2)
            before, self.pictures = self.pictures[-half:], self.pictures[:-half]
            dark = np.zeros_like(shot[0])
            out = [_mix(a, dark, (i + 1) / (half + 1)) for i, a in enumerate(before)]
            into = [_mix(dark, b, (i + 1) / (half + 1)) for i, b in enumerate(shot[:half])]
            between, rest = out + [dark] * black + into, shot[half:]
        begin = len(self.pictures)
        self.cuts.append((begin - 1, begin + len(between) + 1))
        self.pictures += [*between, *rest]


def _mix(a: Picture, b: Picture, share: float) -> Picture:
    return np.asarray(cv2.addWeighted(a, 1 - share, b, share, 0), np.uint8)


class Clips:
    """What films are made of."""

    def __init__(self, videos: Iterable[Path], stills: Path, half: str = "both") -> None:
        self.videos = [_half([_fitted(f.bgr) for f in VideoFile(path)], half) for path in videos]
        self.rates = [float(VideoFile(path).meta.fps) for path in videos]
        pictures = _half(sorted(stills.rglob("*.jpg")), half)
        self.stills = [_fitted(p, 2) for p in map(_read, pictures) if p is not None]

    def part(self, rng: Rng, seconds: float, fps: float, video: int, begin: int | None = None) -> list[Picture]:
        """A part of a video; frames are repeated where the film's rate is higher."""
        clip, step = self.videos[video], self.rates[video] / fps
        frames = min(round(seconds * fps), int(len(clip) / step))
        first = rng.integers(0, max(1, int(len(clip) - frames * step) + 1)) if begin is None else begin
        return [clip[min(len(clip) - 1, int(first + i * step))] for i in range(frames)]

    def shot(self, rng: Rng, seconds: float, fps: float, *, video: bool = True) -> list[Picture]:
        """A shot of any sort, or of any but a video."""
        sort = rng.choice(["video", "still", "still", "drawn"] if video else ["still", "drawn"])
        if sort == "video":
            return self.part(rng, seconds, fps, int(rng.integers(len(self.videos))))
        if sort == "drawn":
            return drawn(rng, seconds, fps)
        return self.filmed(rng, seconds, fps, self.stills[rng.integers(len(self.stills))])

    def filmed(
        self, rng: Rng, seconds: float, fps: float, still: Picture, *, shake: float = 0.004, zoom: float | None = None
    ) -> list[Picture]:
        """A still seen by a camera that pans, zooms, and is held by hand."""
        frames = max(2, round(seconds * fps))
        start = rng.uniform(1.0, 1.8) if zoom is None else zoom
        zooms = start * np.exp(np.linspace(0, rng.uniform(-0.15, 0.15) * seconds, frames))
        move = rng.uniform(-0.12, 0.12, 2) * seconds
        centre = rng.uniform(0.35, 0.65, 2) + np.linspace(-0.5, 0.5, frames)[:, None] * move
        centre += shake * tremor(rng, frames, fps)
        return [view(still, c, z) for c, z in zip(centre, zooms, strict=True)]


def _half(of: list[T], half: str) -> list[T]:
    """Frames or files before the middle, from it on, or both."""
    middle = (len(of) + 1) // 2
    return {"first": of[:middle], "second": of[middle:], "both": of}[half]


def _read(path: Path) -> Picture | None:
    picture = cv2.imread(str(path))
    return None if picture is None or min(picture.shape[:2]) < 300 else np.asarray(picture, np.uint8)


def _fitted(bgr: Picture, scale: int = 1) -> Picture:
    """Cut to the film's shape and size."""
    height, width = bgr.shape[:2]
    if width * HEIGHT > height * WIDTH:
        keep = height * WIDTH // HEIGHT
        bgr = bgr[:, (width - keep) // 2 :][:, :keep]
    else:
        keep = width * HEIGHT // WIDTH
        bgr = bgr[(height - keep) // 2 :][:keep]
    return np.asarray(cv2.resize(bgr, (WIDTH * scale, HEIGHT * scale), interpolation=cv2.INTER_AREA), np.uint8)


def view(still: Picture, centre: NDArray, zoom: float) -> Picture:
    """What a camera sees of a still twice the film's size that goes on mirrored beyond its edges."""
    scale = zoom / 2
    at = centre * (WIDTH * 2, HEIGHT * 2)
    move = np.array([[scale, 0, WIDTH / 2 - scale * at[0]], [0, scale, HEIGHT / 2 - scale * at[1]]])
    return np.asarray(cv2.warpAffine(still, move, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT), np.uint8)


def tremor(rng: Rng, frames: int, fps: float) -> NDArray:
    """(frames, 2) of a hand, 1 to 4 Hz, each axis of root mean square 1."""
    time_s = np.arange(frames)[:, None] / fps
    return sum(np.sin(2 * np.pi * (rng.uniform(1, 4, 2) * time_s + rng.random(2))) for _ in range(3)) * np.sqrt(2 / 3)


def drawn(rng: Rng, seconds: float, fps: float) -> list[Picture]:
    """A drawn scene: a ground of one texture, and figures that walk over it."""
    frames = max(2, round(seconds * fps))
    coarse = rng.uniform(0, 255, (rng.integers(4, 24), rng.integers(4, 40), 3)).astype(np.float32)
    ground = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)
    figures = [
        (rng.uniform(0, (WIDTH, HEIGHT)), rng.uniform(-120, 120, 2), rng.uniform(15, 60, 2), rng.uniform(0, 255, 3))
        for _ in range(rng.integers(2, 6))
    ]
    shot = []
    for i in range(frames):
        picture = ground.copy()
        for start, speed, size, color in figures:
            at, angle = start + speed * i / fps, 20 * np.sin(4 * i / fps)
            box = (float(at[0]), float(at[1])), (float(size[0]), float(2 * size[1])), float(angle)
            cv2.fillPoly(picture, [cv2.boxPoints(box).astype(np.int32)], color.tolist(), cv2.LINE_AA)
        shot.append(np.asarray(picture, np.uint8))
    return shot


def _joined(
    rng: Rng,
    clips: Clips,
    fps: float,
    join: Callable[[Film, list[Picture]], None],
    shot_s: tuple[float, float] = SHOT_S,
) -> Film:
    """Five shots, of which every other may be of a video: none is cut into itself."""
    film = Film()
    for i in range(5):
        join(film, clips.shot(rng, rng.uniform(*shot_s), fps, video=i % 2 == 0))
    return film


def scenes(rng: Rng, clips: Clips, fps: float) -> Film:
    return _joined(rng, clips, fps, Film.cut_to)


def jumps(rng: Rng, clips: Clips, fps: float) -> Film:
    """Parts of the longest video, in any order, each at least APART_S away from where the last one ended."""
    film, video = Film(), int(np.argmax([len(v) for v in clips.videos]))
    clip, step = clips.videos[video], clips.rates[video] / fps
    end = -1e9
    while len(film.cuts) < 5:
        seconds = rng.uniform(*SHOT_S)
        begin = int(rng.integers(0, len(clip) - round(seconds * fps * step)))
        if abs(begin - end) >= APART_S * clips.rates[video]:
            film.cut_to(clips.part(rng, seconds, fps, video, begin))
            end = begin + round(seconds * fps * step)
    return film


def closer(rng: Rng, clips: Clips, fps: float) -> Film:
    """The same still once more, from afar and from near in turn."""
    film, still = Film(), clips.stills[rng.integers(len(clips.stills))]
    for i in range(5):
        zoom = rng.uniform(*((1.0, 1.2) if i % 2 else (1.6, 2.0)))
        film.cut_to(clips.filmed(rng, rng.uniform(*SHOT_S), fps, still, zoom=zoom))
    return film


def blended(rng: Rng, clips: Clips, fps: float) -> Film:
    """One to three frames are mixtures, as a change of frame rate or an editor's soft cut leaves them."""
    return _joined(rng, clips, fps, lambda film, shot: film.fade_to(shot, int(rng.integers(1, 4))))


def dissolves(rng: Rng, clips: Clips, fps: float) -> Film:
    film, before = Film(), 0
    for i in range(4):  # every other shot may be of a video, so that none goes over into itself
        longest = min(1.5, max(0.3, before / fps / 2)) if before else 1.5
        mixed = min(round(rng.uniform(0.3, longest) * fps), before or 1)
        shot = clips.shot(rng, rng.uniform(3.0, 4.5), fps, video=i % 2 == 0)
        if len(shot) < fps:  # the video ends before it has faded in
            shot = drawn(rng, 3.0, fps)
        film.fade_to(shot, mixed)
        before = len(shot)
    return film


def through_black(rng: Rng, clips: Clips, fps: float) -> Film:
    def join(film: Film, shot: list[Picture]) -> None:
        film.fade_to(shot, round(rng.uniform(0.4, 1.6) * fps), round(rng.uniform(0, 0.5) * fps))

    return _joined(rng, clips, fps, join, (2.0, 3.0))


def black_between(rng: Rng, clips: Clips, fps: float) -> Film:
    """Hard cuts with 2 frames to half a second of black between: any frame from the black on will do."""

    def join(film: Film, shot: list[Picture]) -> None:
        if film.pictures:
            dark, at = int(rng.integers(2, fps / 2)), len(film.pictures)
            film.pictures += [np.zeros_like(shot[0])] * dark
            film.cuts.append((at - 1, at + dark + 1))
        film.pictures += shot

    return _joined(rng, clips, fps, join)


def uncut(rng: Rng, clips: Clips, fps: float) -> Film:
    return Film(clips.shot(rng, rng.uniform(3, 7), fps))


def shaken(rng: Rng, clips: Clips, fps: float) -> Film:
    still = clips.stills[rng.integers(len(clips.stills))]
    return Film(clips.filmed(rng, 6, fps, still, shake=rng.uniform(0.005, 0.015)))


def flashes(rng: Rng, clips: Clips, fps: float) -> Film:
    """Photographers' flashes of one to three frames, whole or from some row on, as a rolling shutter has them."""
    pictures = list(clips.shot(rng, 6, fps))
    for _ in range(6):
        at, row = int(rng.integers(len(pictures))), int(rng.integers(0, HEIGHT)) * int(rng.integers(0, 2))
        gain, lift = rng.uniform(1.5, 5), rng.uniform(20, 140)
        for i in range(at, min(len(pictures), at + int(rng.integers(1, 4)))):
            lit = pictures[i].copy()
            lit[row:] = cv2.convertScaleAbs(lit[row:], alpha=gain, beta=lift)
            pictures[i] = lit
    return Film(pictures)


def strobes(rng: Rng, clips: Clips, fps: float) -> Film:
    pictures = clips.shot(rng, 6, fps)
    hz, gain, dark = rng.uniform(3, 14), rng.uniform(1.5, 4), rng.uniform(0.05, 1)
    lit = [(i / fps * hz) % 1 < 0.4 for i in range(len(pictures))]
    return Film(
        [
            np.asarray(cv2.convertScaleAbs(p, alpha=gain if on else dark), np.uint8)
            for p, on in zip(pictures, lit, strict=True)
        ]
    )


def exposures(rng: Rng, clips: Clips, fps: float) -> Film:
    """The exposure jumps or slides by up to two stops, six times."""
    pictures = clips.shot(rng, 6, fps)
    stops = np.zeros(len(pictures))
    for at in np.sort(rng.integers(0, len(pictures), 6)):
        slide = max(1, round(rng.choice([0, 0, 0.1, 0.5]) * fps))
        target = rng.uniform(-2, 2)
        ramp = np.linspace(stops[at], target, slide + 1)[1:][: len(stops) - at]
        stops[at:] = target
        stops[at : at + len(ramp)] = ramp
    return Film(
        [np.asarray(cv2.convertScaleAbs(p, alpha=2.0**s), np.uint8) for p, s in zip(pictures, stops, strict=True)]
    )


def whips(rng: Rng, clips: Clips, fps: float) -> Film:
    """A camera that rests and is whipped round by half a picture to three, blurred as it goes."""
    still, centre, pictures = clips.stills[rng.integers(len(clips.stills))], np.array([0.5, 0.5]), []
    for _ in range(4):
        rest = centre + 0.002 * tremor(rng, round(rng.uniform(0.4, 1.2) * fps), fps)
        pictures += [view(still, c, 1.6) for c in rest]
        frames = max(2, round(rng.uniform(0.12, 0.5) * fps))
        way = rng.uniform(0.25, 1.5) * rng.choice([-1, 1]) * np.array([1, rng.uniform(-0.2, 0.2)])
        ease = lambda t: (1 - np.cos(np.pi * np.clip(t, 0, 1))) / 2  # noqa: E731
        for i in range(frames):
            exposed = [view(still, centre + way * ease((i + s) / frames), 1.6) for s in np.linspace(0, 0.5, 8)]
            pictures.append(np.mean(exposed, 0).astype(np.uint8))
        centre = centre + way
    return Film(pictures)


def passers(rng: Rng, clips: Clips, fps: float) -> Film:
    """Somebody walks past close to the lens, dark or in a pattern, covering a fifth to all of the picture."""
    pictures = list(clips.shot(rng, 6, fps))
    for _ in range(3):
        wide = rng.uniform(0.2, 1.3) * WIDTH
        frames = max(3, round(rng.uniform(0.3, 1.2) * fps))
        cloth = rng.uniform(0, rng.choice([30, 200]), (rng.integers(3, 30), rng.integers(3, 30), 3)).astype(np.float32)
        coat = cv2.resize(cloth, (int(wide), HEIGHT), interpolation=cv2.INTER_CUBIC)
        mask = np.zeros((HEIGHT, int(wide)), np.float32)
        head, lean = wide / 2, rng.uniform(0.1, 0.4) * wide
        body = [(0, HEIGHT), (lean / 2, HEIGHT * 0.3), (head, -20), (wide - lean / 2, HEIGHT * 0.3), (wide, HEIGHT)]
        cv2.fillPoly(mask, [np.array(body, np.int32)], 1.0)
        soft = int(rng.integers(1, 12)) * 2 + 1
        mask = cv2.blur(mask, (soft, soft))[..., None]
        begin, way = int(rng.integers(0, max(1, len(pictures) - frames))), int(rng.choice([-1, 1]))
        for i in range(min(frames, len(pictures) - begin)):
            x = round(-wide + (WIDTH + wide) * (i + 0.5) / frames)
            x = x if way > 0 else round(WIDTH - wide) - x
            a, b = max(0, x), min(WIDTH, x + int(wide))
            if b > a:
                picture = pictures[begin + i].copy()
                m, c = mask[:, a - x : b - x], coat[:, a - x : b - x]
                picture[:, a:b] = (picture[:, a:b] * (1 - m) + c * m).clip(0, 255).astype(np.uint8)
                pictures[begin + i] = picture
    return Film(pictures)


def captions(rng: Rng, clips: Clips, fps: float) -> Film:
    """Subtitles that come, change and go."""
    pictures = [p.copy() for p in clips.shot(rng, 6, fps)]
    at = 0
    while at < len(pictures):
        on, off = round(rng.uniform(0.8, 2) * fps), round(rng.choice([0, 0.5]) * fps)
        text = "".join(rng.choice(list("abcdefghij klmnopqrstuvwxyz"), int(rng.integers(12, 34))))
        for picture in pictures[at : at + on]:
            for color, width in (((0, 0, 0), 5), ((255, 255, 255), 2)):
                cv2.putText(picture, text, (60, HEIGHT - 30), cv2.FONT_HERSHEY_SIMPLEX, 0.8, color, width, cv2.LINE_AA)
        at += on + off
    return Film(pictures)


def frozen(rng: Rng, clips: Clips, fps: float) -> Film:
    """A stream that stalls for up to half a second and goes on where it is by then."""
    pictures = list(clips.shot(rng, 6, fps))
    for _ in range(3):
        at, long = int(rng.integers(len(pictures))), round(rng.uniform(0.1, 0.5) * fps)
        for i in range(at, min(len(pictures), at + long)):
            pictures[i] = pictures[at]
    return Film(pictures)


KINDS: dict[str, tuple[str, Callable[[Rng, Clips, float], Film]]] = {
    "scenes": ("cut to another scene", scenes),
    "jumps": ("jump cut within a scene", jumps),
    "closer": ("nearer, farther away", closer),
    "blended": ("1–3 mixed frames", blended),
    "dissolves": ("dissolve, 0.3–1.5 s", dissolves),
    "black": ("fade through black", through_black),
    "dark": ("black between", black_between),
    "uncut": ("uncut clips", uncut),
    "shaken": ("hand-held, shaken", shaken),
    "flashes": ("photographers' flashes", flashes),
    "strobes": ("strobe light", strobes),
    "exposures": ("exposure jumps", exposures),
    "whips": ("whip pans", whips),
    "passers": ("somebody past the lens", passers),
    "captions": ("subtitles", captions),
    "frozen": ("a stream that stalls", frozen),
}


def coded(pictures: list[Picture], fps: float, crf: int) -> Iterator[Picture]:
    """The pictures after H.264."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as out:
        stream: Any = out.add_stream("libx264", rate=Fraction(fps))
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"crf": str(crf), "preset": "veryfast"}
        for picture in pictures:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        out.mux(stream.encode(None))
    file.seek(0)
    with av.open(file) as container:
        for frame in container.decode(video=0):
            yield np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)


def ours(pictures: Iterable[Picture], fps: float) -> list[int]:
    finder = CutFinder(Fraction(fps))
    for i, picture in enumerate(pictures):
        finder.watch(Frame(i, Fraction(i) / Fraction(fps), picture))
    finder.finish()
    return [cut.frame for cut in finder.cuts]


def scenedetect(name: str) -> Callable[[Iterable[Picture], float], list[int]]:
    """A detector of PySceneDetect, as it comes but for shots that may be as short as here."""
    from scenedetect.common import FrameTimecode
    from scenedetect.detectors import AdaptiveDetector, ContentDetector

    def find(pictures: Iterable[Picture], fps: float) -> list[int]:
        detector = {"adaptive": AdaptiveDetector, "content": ContentDetector}[name](min_scene_len=8)
        found, last = [], 0
        for last, picture in enumerate(pictures):
            found += detector.process_frame(FrameTimecode(last, fps), picture)
        found += detector.post_process(FrameTimecode(last, fps))
        return sorted(int(f.frame_num) for f in found)

    return find


def matched(found: list[int], cuts: list[tuple[int, int]]) -> int:
    """How many cuts are found; each finding counts for one cut."""
    left, hits = list(found), 0
    for first, last in cuts:
        hit = next((f for f in left if first <= f <= last), None)
        if hit is not None:
            left.remove(hit)
            hits += 1
    return hits


def cost(video: Path, frames: int = 120) -> str:
    """Processor time that finding takes at 1280×720, beside that of decoding the same frames."""
    cv2.setNumThreads(1)
    begin = time.process_time()
    pictures = [frame for frame, _ in zip(VideoFile(video), range(frames), strict=False)]
    decoding = (time.process_time() - begin) / len(pictures)
    height, width = pictures[0].bgr.shape[:2]
    small = [Frame(f.index, f.time_s, np.asarray(cv2.resize(f.bgr, (1280, 720)), np.uint8)) for f in pictures]
    finder = CutFinder(VideoFile(video).meta.fps)
    times = []
    for frame in small:
        begin = time.process_time()
        finder.watch(frame)
        times.append(time.process_time() - begin)
    mean = float(np.mean(times))
    told = f"{1000 * mean:.2f} ms of processor time a frame at 1280×720"
    return f"{told}, {mean / decoding:.2f} of what decoding the clip's own {width}×{height} takes"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--stills", type=Path, required=True, help="folder of JPEGs")
    parser.add_argument(
        "--half", choices=("first", "second", "both"), default="both", help="of every video, and of all stills"
    )
    parser.add_argument("--films", type=int, default=12, help="of each kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--detector", choices=("ours", "adaptive", "content"), default="ours")
    parser.add_argument("--cost", type=Path, help="also time it on this video")
    parser.add_argument("--tell", action="store_true", help="name what was missed and invented")
    args = parser.parse_args()
    clips = Clips(args.videos, args.stills, args.half)
    find = ours if args.detector == "ours" else scenedetect(args.detector)
    print(f"half: {args.half}, seed {args.seed}, {args.films} films a kind, {args.detector}\n")
    print("| kind | cuts | found | invented | seconds of film |\n| --- | --- | --- | --- | --- |")
    for kind in args.kinds.split(","):
        cuts = hits = invented = 0
        seconds = 0.0
        for number in range(args.films):
            rng = np.random.default_rng([args.seed, list(KINDS).index(kind), number])
            fps, crf = float(rng.choice([24, 25, 30, 30, 50])), int(rng.integers(18, 33))
            film = KINDS[kind][1](rng, clips, fps)
            found = find(coded(film.pictures, fps, crf), fps)
            here = matched(found, film.cuts)
            if args.tell and (here < len(film.cuts) or here < len(found)):
                print(f"{kind} {number}: {fps:g} fps, crf {crf}, cuts {film.cuts}, found {found}")
            cuts, hits, invented = cuts + len(film.cuts), hits + here, invented + len(found) - here
            seconds += len(film.pictures) / fps
        share = f"{hits} ({hits / cuts:.1%})" if cuts else "–"
        print(f"| {KINDS[kind][0]} | {cuts} | {share} | {invented} | {seconds:.0f} |", flush=True)
    if args.cost:
        print(f"\nCost: {cost(args.cost)}.")


if __name__ == "__main__":
    main()
