"""Everything a run depends on, in one frozen value; nothing is global."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from sasmamba.app.io.video_file import check_part
from sasmamba.app.motion.camera import Intrinsics
from sasmamba.app.motion.placing import check_heights
from sasmamba.app.pose2d.choices import GLSMAMBA_NEEDS, Backend2D, DetectorName
from sasmamba.app.weights.lifters import DEFAULT_LIFTER
from sasmamba.common.errors import UserError
from sasmamba.common.files import same_file

#: Farther apart than this detection frames are too few to tell people and motion by: a third of a second.
MOST_POSE2D_EVERY = 10

#: More people than this no 2D stage follows: MediaPipe has a model of its own for each.
MOST_PEOPLE = 50

#: Heights of a picture in pixels: below, nothing can be told; above, no encoder of video goes.
HEIGHTS_PX = (64, 4320)

#: Suffixes that a render can have.
RENDER_SUFFIXES = (".mp4", ".gif")


@dataclass(frozen=True, slots=True)
class RunConfig:
    """One video to one render.

    Attributes:
        source: the video. out: the render, .mp4 or .gif. poses: also save the poses here (.npz), or None.
        start_s, end_s, max_frames: the part to do; None for all.
        pose2d: the 2D backend. pose2d_weights: its model, a name or a file; pose2d_px: width and height of the crops it
        was trained on, where it is HRNet's and does not say; detector: what finds people for it; all as in
        `open_pose2d`. pose2d_every: it looks at every so many frames; the lifter fills in those between.
        max_people: how many people at most. person: of those found, save and draw only this identity; None for all.
        lifter: a shipped lifter's name or a checkpoint's path. flip: average with the mirrored input. refine: fit
            the poses to the 2D, see `models.refining`.
        device: auto, cpu or cuda, for the lifter and the 2D stage (MediaPipe always runs on the CPU).
        smooth: take the jitter out of poses, see `smoothing.smooth_take`.
        fov_deg: assumed field of view along the picture's longer side, for where people stand; intrinsics: the camera,
            where it is known. height_m: how tall people are, all of them or by identity; None for average adults.
        export: formats of `export.formats.FORMATS` to write beside the render.
        height: of the render in pixels at most. numbers: draw frame number, time and stage timings.
    """

    source: Path
    out: Path
    poses: Path | None = None
    start_s: float | None = None
    end_s: float | None = None
    max_frames: int | None = None
    pose2d: Backend2D = "auto"
    pose2d_weights: str | None = None
    pose2d_px: tuple[int, int] | None = None
    detector: DetectorName = "auto"
    pose2d_every: int = 1
    max_people: int = 8
    person: int | None = None
    lifter: str = DEFAULT_LIFTER
    flip: bool = True
    refine: bool = True
    device: str = "auto"
    smooth: bool = True
    fov_deg: float = 60.0
    intrinsics: Intrinsics | None = None
    height_m: float | dict[int, float] | None = None
    export: tuple[str, ...] = ()
    height: int = 720
    numbers: bool = False

    def __post_init__(self) -> None:
        for name in ("source", "out", "poses"):  # text will do, too
            if isinstance(getattr(self, name), str):
                object.__setattr__(self, name, Path(getattr(self, name)))

        def usage(sentence: str) -> UserError:
            return UserError(sentence, exit_code=2)

        if self.out.suffix.lower() not in RENDER_SUFFIXES:
            raise usage(f"The render must end in {' or '.join(RENDER_SUFFIXES)}, not {self.out.name!r}.")
        if self.poses is not None and self.poses.suffix.lower() != ".npz":
            raise usage(f"Poses are saved as .npz, not {self.poses.name!r}.")
        if same_file(self.out, self.source):
            raise usage(f"The render would overwrite the video {self.source}; choose another --out.")
        if self.poses is not None and same_file(self.poses, self.source):
            raise usage(f"The poses would overwrite the video {self.source}; choose another --save-poses.")
        check_common(self)
        check_part(self.start_s, self.end_s, self.max_frames)
        check_heights(self.height_m)
        if self.person is not None and self.person < 1:
            raise usage(f"--person is the number of somebody, 1 or more, not {self.person}.")
        if isinstance(self.height_m, dict) and (wrong := [i for i in self.height_m if i < 1]):
            raise usage(f"--height-m gives heights of people by their number, 1 or more, not {wrong[0]}.")
        if self.pose2d == "glsmamba" and self.pose2d_weights is None:
            raise usage(GLSMAMBA_NEEDS)
        if not 1 <= self.pose2d_every <= MOST_POSE2D_EVERY:
            raise usage(f"--pose2d-every must lie between 1 and {MOST_POSE2D_EVERY}, not {self.pose2d_every}.")


def check_common(config: RunConfig | LiveConfig) -> None:
    """Raises UserError for what neither a run on a file nor a live run can do."""

    def usage(sentence: str) -> UserError:
        return UserError(sentence, exit_code=2)

    choices = ("--pose2d", config.pose2d, Backend2D), ("--detector", config.detector, DetectorName)
    for option, value, known in choices:
        if value not in get_args(known):
            raise usage(f"{option} must be one of {', '.join(get_args(known))}, not {value!r}.")
    if config.pose2d_weights is not None and config.pose2d == "auto":
        raise usage("--pose2d-weights needs --pose2d too, to say whose they are.")
    if config.pose2d_px is not None:
        width, height = config.pose2d_px
        if config.pose2d != "hrnet":
            raise usage("--pose2d-size is for --pose2d hrnet; the other backends' models tell it themselves.")
        if width % 32 or height % 32 or not 64 <= width <= height <= 1024:
            raise usage(
                f"--pose2d-size is HEIGHTxWIDTH in multiples of 32, 256x192 or 384x288 say, not {height}x{width}."
            )
    if config.device not in ("auto", "cpu", "cuda"):
        raise usage(f"--device must be auto, cpu or cuda, not {config.device!r}.")
    if not 10 <= config.fov_deg <= 150:
        raise usage(f"--fov must lie between 10 and 150 degrees, not {config.fov_deg:g}.")
    if not 1 <= config.max_people <= MOST_PEOPLE:
        raise usage(f"--max-people must lie between 1 and {MOST_PEOPLE}, not {config.max_people}.")
    low, high = HEIGHTS_PX
    if not low <= config.height <= high:
        raise usage(f"--height is the picture's, {low} to {high} pixels, not {config.height}.")


def default_out(source: Path) -> Path:
    """Where a render goes when nobody says: beside the video, named after it."""
    return source.with_name(f"{source.stem}_3d.mp4")


#: The longest look-ahead: half the longest window, more than which changes nothing.
MOST_LOOKAHEAD = 121


@dataclass(frozen=True, slots=True)
class LiveConfig:
    """One live run.

    Attributes:
        source: camera number or device, stream address, or a file to play at its own pace.
        out: record the picture here from the start (.mp4), or None.
        serve: port of a page to watch in a browser; None: only where there is no display and nothing is recorded.
        window: open a window; None: where there is a display.
        lookahead: frames the lifter sees of the future; they delay the picture.
        seconds: end after so long, None: when the source ends or the user stops.
        patience_s: how long a lost camera or stream is waited for.
        pose2d, pose2d_weights, pose2d_px, detector, max_people, lifter, device, fov_deg, height, start_s: as in
            RunConfig; without a GPU `auto` is MoveNet here where that can be had.
    """

    source: str
    out: Path | None = None
    serve: int | None = None
    window: bool | None = None
    lookahead: int = 0
    seconds: float | None = None
    patience_s: float = 60.0
    pose2d: Backend2D = "auto"
    pose2d_weights: str | None = None
    pose2d_px: tuple[int, int] | None = None
    detector: DetectorName = "auto"
    max_people: int = 2
    lifter: str = DEFAULT_LIFTER
    device: str = "auto"
    fov_deg: float = 60.0
    height: int = 720
    start_s: float | None = None

    def __post_init__(self) -> None:
        def usage(sentence: str) -> UserError:
            return UserError(sentence, exit_code=2)

        if not 0 <= self.lookahead <= MOST_LOOKAHEAD:
            raise usage(f"--lookahead must lie between 0 and {MOST_LOOKAHEAD} frames, not {self.lookahead}.")
        if self.out is not None and self.out.suffix.lower() != ".mp4":
            raise usage(f"A live recording must end in .mp4, not {self.out.name!r}.")
        if self.out is not None and same_file(self.out, Path(self.source)):
            raise usage(f"The recording would overwrite {self.source}; choose another --out.")
        if self.serve is not None and not 0 <= self.serve <= 65535:
            raise usage(f"--serve must be a port from 0 (any free one) to 65535, not {self.serve}.")
        if self.seconds is not None and not self.seconds > 0:
            raise usage(f"--seconds must be more than 0, not {self.seconds:g}.")
        check_common(self)
