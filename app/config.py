"""What a run depends on, in frozen values that are checked when they are made; nothing is global."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, get_args

from sasmamba.app.export.options import ExportOptions
from sasmamba.app.io.video_file import check_part
from sasmamba.app.motion.body import BodyChoice, check_body
from sasmamba.app.motion.camera import Intrinsics
from sasmamba.app.motion.camera_motion import CameraChoice
from sasmamba.app.motion.gravity import KnownCamera
from sasmamba.app.motion.placing import check_heights
from sasmamba.app.pose2d.choices import GLSMAMBA_NEEDS, Backend2D, DetectorName
from sasmamba.app.weights.lifters import DEFAULT_LIFTER, live_lifter
from sasmamba.common.errors import UserError
from sasmamba.common.files import same_file
from sasmamba.common.numbers import VERY_MANY, check_between

#: Farther apart than this detection frames are too few to tell people and motion by: a third of a second.
MOST_POSE2D_EVERY = 10

#: More people than this no 2D stage follows: MediaPipe has a model of its own for each.
MOST_PEOPLE = 50

#: More threads than this are a slip of the finger.
MOST_THREADS = 256

#: Containers count streams from 0, and none holds more than this.
MOST_STREAMS = 65535

#: Heights of a picture in pixels: below, nothing can be told; above, no encoder of video goes.
HEIGHTS_PX = (64, 4320)

#: Nobody waits or watches for longer: about thirty years, and as much as clocks of the system take.
MOST_SECONDS = 1_000_000_000

#: Suffixes that a render can have.
RENDER_SUFFIXES = (".mp4", ".gif")


#: Settings that `Settings.kept` tells of.
_KEPT = (
    "start_s", "end_s", "max_frames", "stream", "person", "lifter", "flip", "refine", "smooth", "fov_deg", "body",
    "intrinsics", "height_m", "pitch_deg", "roll_deg", "keep_inferred",
)  # fmt: skip

#: The longest look-ahead: half the longest window, more than which changes nothing.
MOST_LOOKAHEAD = 121


def _usage(sentence: str) -> UserError:
    return UserError(sentence, exit_code=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedSettings:
    """What every run depends on, of a file or live.

    Attributes:
        pose2d: the 2D backend, as in `open_pose2d`.
        pose2d_weights: its model, a name or a file; None for its own choice.
        pose2d_px: width and height of the crops its model was trained on, where that is HRNet's and does not say.
        detector: what finds people for it.
        max_people: how many people at most.
        cuts: look for cuts, and let nobody's identity, pose or place go on across one; a camera of one's own has none.
        lifter: a shipped lifter's name or a checkpoint's path.
        device: auto, cpu or cuda, for the lifter and the 2D stage (MediaPipe always runs on the CPU).
        fov_deg: assumed field of view along the picture's longer side, for where people stand.
        body: what is shown and written of people; auto: legs only of those whose legs are seen.
        height: of the picture that is drawn, in pixels, at most.
        start_s: where in a file to begin, None for its start.

    Raises:
        UserError: a value that no run can have (exit code 2).
    """

    pose2d: Backend2D = "auto"
    pose2d_weights: str | None = None
    pose2d_px: tuple[int, int] | None = None
    detector: DetectorName = "auto"
    max_people: int = 8
    cuts: bool = True
    lifter: str = DEFAULT_LIFTER
    device: str = "auto"
    fov_deg: float = 60.0
    body: BodyChoice = "auto"
    height: int = 720
    start_s: float | None = None

    def __post_init__(self) -> None:
        choices = ("--pose2d", self.pose2d, Backend2D), ("--detector", self.detector, DetectorName)
        for option, value, known in choices:
            if value not in get_args(known):
                raise _usage(f"{option} must be one of {', '.join(get_args(known))}, not {value!r}.")
        if self.pose2d_weights is not None and self.pose2d == "auto":
            raise _usage("--pose2d-weights needs --pose2d too, to say whose they are.")
        if self.pose2d_px is not None:
            width, height = self.pose2d_px
            if self.pose2d != "hrnet":
                raise _usage("--pose2d-size is for --pose2d hrnet; the other backends' models tell it themselves.")
            if width % 32 or height % 32 or not 64 <= width <= height <= 1024:
                raise _usage(
                    f"--pose2d-size is HEIGHTxWIDTH in multiples of 32, 256x192 or 384x288 say, not {height}x{width}."
                )
        if self.device not in ("auto", "cpu", "cuda"):
            raise _usage(f"--device must be auto, cpu or cuda, not {self.device!r}.")
        check_body(self.body)
        if not 10 <= self.fov_deg <= 150:
            raise _usage(f"--fov must lie between 10 and 150 degrees, not {self.fov_deg:g}.")
        if not 1 <= self.max_people <= MOST_PEOPLE:
            raise _usage(f"--max-people must lie between 1 and {MOST_PEOPLE}, not {self.max_people}.")
        low, high = HEIGHTS_PX
        if not low <= self.height <= high:
            raise _usage(f"--height is the picture's, {low} to {high} pixels, not {self.height}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(SharedSettings):
    """What a run on a file depends on beside the file: the same for every clip of a folder.

    Attributes:
        end_s: where to end, seconds; None for the end.
        max_frames: do at most so many frames; None for all.
        stream: number of the video stream to read, None for the longest and largest.
        pose2d_every: the 2D stage runs in every so many frames (detection frames); the lifter fills in those between.
        camera: what the camera does; auto: the background decides. Still costs next to nothing.
        person: of those found, save and draw only this identity; None for all.
        flip: average with the mirrored input.
        refine: fit the poses to the 2D, see `models.refining`.
        smooth: take the jitter out of poses, see `smoothing.smooth_take`.
        intrinsics: the camera, where it is known; it goes before `fov_deg`.
        height_m: how tall people are, all of them or by identity; None for average adults.
        pitch_deg: by how much the camera looks down; None where nobody knows.
        roll_deg: by how much up leans to the right in the picture; None where nobody knows.
        export: formats of `export.formats.FORMATS` to write beside the render.
        rig, bvh_scale, markers, keep_inferred: how they are written, see `export.options.ExportOptions`.
        numbers: draw frame number, time and stage timings.
        threads: of the 2D stage, the lifting and the render, the results are the same with any; None for as many as
            there are cores.
    """

    end_s: float | None = None
    max_frames: int | None = None
    stream: int | None = None
    pose2d_every: int = 1
    camera: CameraChoice = "auto"
    person: int | None = None
    flip: bool = True
    refine: bool = True
    smooth: bool = True
    intrinsics: Intrinsics | None = None
    height_m: float | dict[int, float] | None = None
    pitch_deg: float | None = None
    roll_deg: float | None = None
    export: tuple[str, ...] = ()
    rig: str = "cmu"
    bvh_scale: float = 1.0
    markers: str = "ours"
    keep_inferred: bool = False
    numbers: bool = False
    threads: int | None = None

    def __post_init__(self) -> None:
        SharedSettings.__post_init__(self)  # super() does not find its way in a class with slots
        check_part(self.start_s, self.end_s, self.max_frames)
        _ = self.export_options  # checks them
        check_heights(self.height_m)
        _ = self.known_camera  # raises for angles that cannot be
        if self.camera not in get_args(CameraChoice):
            raise _usage(f"--camera must be one of {', '.join(get_args(CameraChoice))}, not {self.camera!r}.")
        check_between("--stream", self.stream, 0, MOST_STREAMS)
        check_between("--max-frames", self.max_frames, 1, VERY_MANY)
        if self.threads is not None and not 1 <= self.threads <= MOST_THREADS:
            raise _usage(f"--threads must lie between 1 and {MOST_THREADS}, not {self.threads}.")
        if self.person is not None and self.person < 1:
            raise _usage(f"--person is the number of somebody, 1 or more, not {self.person}.")
        check_between("--person", self.person, 1, VERY_MANY)
        if isinstance(self.height_m, dict) and (wrong := [i for i in self.height_m if not 1 <= i <= VERY_MANY]):
            raise _usage(f"--height-m gives heights of people by their number, 1 or more, not {wrong[0]}.")
        if self.pose2d == "glsmamba" and self.pose2d_weights is None:
            raise _usage(GLSMAMBA_NEEDS)
        if not 1 <= self.pose2d_every <= MOST_POSE2D_EVERY:
            raise _usage(f"--pose2d-every must lie between 1 and {MOST_POSE2D_EVERY}, not {self.pose2d_every}.")

    @property
    def shows_guesses(self) -> bool:
        """Whether legs are shown that are hardly ever seen: who wants the lifter's guesses wants those, unless they say
        otherwise."""
        return self.keep_inferred and self.body == "auto"

    @property
    def kept(self) -> dict[str, Any]:
        """What to read, lift and place a take by again, as plain values; goes into files of poses."""
        values = {name: getattr(self, name) for name in _KEPT}
        camera = self.intrinsics
        values["intrinsics"] = None if camera is None else [camera.fx, camera.fy, camera.cx, camera.cy]
        if isinstance(self.height_m, dict):
            values["height_m"] = {str(i): height for i, height in self.height_m.items()}
        return values

    @classmethod
    def of_kept(cls, values: Mapping[str, Any]) -> Settings:
        """The settings that `kept` told of; those that it says nothing of are as ever.

        Raises:
            UserError: a value that no run can have.
        """
        given = {name: values[name] for name in _KEPT if name in values}
        try:
            if given.get("intrinsics") is not None:
                given["intrinsics"] = Intrinsics(*map(float, given["intrinsics"]))
            if isinstance(given.get("height_m"), Mapping):
                given["height_m"] = {int(i): float(height) for i, height in given["height_m"].items()}
            return cls(**given)
        except (TypeError, ValueError, AttributeError) as error:
            raise UserError(f"The settings that the poses were made with cannot be understood ({error}).") from error

    def over(self, values: Mapping[str, Any]) -> Settings:
        """These settings, and where they are the default ones those that `kept` told of.

        Raises:
            UserError: a value that no run can have.
        """
        before, default = Settings.of_kept(values), Settings()
        said = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(before, **{name: value for name, value in said.items() if value != getattr(default, name)})

    @property
    def export_options(self) -> ExportOptions:
        """How formats are written that leave a choice."""
        return ExportOptions(self.rig, self.bvh_scale, self.markers, self.keep_inferred)

    @property
    def known_camera(self) -> KnownCamera:
        """What is known of the camera's attitude."""
        return KnownCamera(self.pitch_deg, self.roll_deg)


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSettings(SharedSettings):
    """What a live run depends on beside its source; without a GPU `auto` is MoveNet here where that can be had.

    Attributes:
        serve: port of a page to watch in a browser; None: only where there is no display and nothing is recorded.
        serve_host: this machine's address that the page is served on; other machines reach all but 127.0.0.1.
        ws: port of a WebSocket that sends motion as JSON, on serve_host too; None: only with the page, on its port.
        osc: host and port that motion is sent to by the VMC protocol; None: nowhere.
        window: open a window; None: where there is a display.
        lookahead: frames the lifter sees of the future; they delay the picture.
        seconds: end after so long, None: when the source ends or the user stops.
        patience_s: how long a lost camera or stream is waited for.
        max_people: fewer than elsewhere, to keep pace.
        lifter: as elsewhere; "": the shipped one for this look-ahead, `live_lifter`.
    """

    serve: int | None = None
    serve_host: str = "127.0.0.1"
    ws: int | None = None
    osc: tuple[str, int] | None = None
    window: bool | None = None
    lookahead: int = 0
    seconds: float | None = None
    patience_s: float = 60.0
    max_people: int = 2
    lifter: str = ""

    def __post_init__(self) -> None:
        SharedSettings.__post_init__(self)
        object.__setattr__(self, "lifter", self.lifter or live_lifter(self.lookahead))
        if not 0 <= self.lookahead <= MOST_LOOKAHEAD:
            raise _usage(f"--lookahead must lie between 0 and {MOST_LOOKAHEAD} frames, not {self.lookahead}.")
        for option, port in (("--serve", self.serve), ("--ws", self.ws)):
            if port is not None and not 0 <= port <= 65535:
                raise _usage(f"{option} must be a port from 0 (any free one) to 65535, not {port}.")
        if self.osc is not None and not (self.osc[0] and 1 <= self.osc[1] <= 65535):
            raise _usage("--osc wants HOST:PORT with a port from 1 to 65535, 127.0.0.1:39539 say.")
        if self.seconds is not None and not self.seconds > 0:
            raise _usage(f"--seconds must be more than 0, not {self.seconds:g}.")
        check_between("--seconds", self.seconds, 0, MOST_SECONDS)
        check_between("--patience", self.patience_s, 0, MOST_SECONDS, "seconds")


@dataclass(frozen=True, slots=True)
class Job:
    """One video to one render; text will do for paths.

    Attributes:
        source: the video.
        out: the render, .mp4 or .gif.
        poses: also save the poses here (.npz), or None.
        from_poses: take people from here (.npz, as they were saved) instead of finding them; None: find them.
        fixes: apply the corrections of this file to what was found, or None.

    Raises:
        UserError: a file of another kind, or one that would overwrite the video or what is read (exit code 2).
    """

    source: Path
    out: Path
    poses: Path | None = None
    from_poses: Path | None = None
    fixes: Path | None = None

    def __post_init__(self) -> None:
        for name in ("source", "out", "poses", "from_poses", "fixes"):
            if isinstance(getattr(self, name), str):
                object.__setattr__(self, name, Path(getattr(self, name)))
        if self.out.suffix.lower() not in RENDER_SUFFIXES:
            raise _usage(f"The render must end in {' or '.join(RENDER_SUFFIXES)}, not {self.out.name!r}.")
        if self.poses is not None and self.poses.suffix.lower() != ".npz":
            raise _usage(f"Poses are saved as .npz, not {self.poses.name!r}.")
        if same_file(self.out, self.source):
            raise _usage(f"The render would overwrite the video {self.source}; choose another --out.")
        if self.poses is not None and same_file(self.poses, self.source):
            raise _usage(f"The poses would overwrite the video {self.source}; choose another --save-poses.")
        if self.poses is not None and self.from_poses is not None and same_file(self.poses, self.from_poses):
            raise _usage(f"The poses would overwrite {self.from_poses}; choose another --save-poses.")


@dataclass(frozen=True, slots=True)
class LiveJob:
    """One live run.

    Attributes:
        source: camera number or device, stream address, or a file to play at its own pace.
        out: record the picture here from the start (.mp4), or None.

    Raises:
        UserError: a recording of another kind, or one that would overwrite the source (exit code 2).
    """

    source: str
    out: Path | None = None

    def __post_init__(self) -> None:
        if self.out is not None and self.out.suffix.lower() != ".mp4":
            raise _usage(f"A live recording must end in .mp4, not {self.out.name!r}.")
        if self.out is not None and same_file(self.out, Path(self.source)):
            raise _usage(f"The recording would overwrite {self.source}; choose another --out.")


def default_out(source: Path) -> Path:
    """Where a render goes when nobody says: beside the video, named after it."""
    return source.with_name(f"{source.stem}_3d.mp4")
