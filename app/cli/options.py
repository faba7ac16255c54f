"""Options that several commands have, each declared once, and how the text of an option becomes a setting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sasmamba.common.errors import UserError

if TYPE_CHECKING:
    from sasmamba.app.motion.camera import Intrinsics


def pixels(text: str) -> int:
    """The --height of a picture.

    Raises:
        UserError: no whole number (exit code 2); who gives one in metres means somebody's, and is told so.
    """
    try:
        return int(text)
    except ValueError:
        try:
            tall = 0.4 <= float(text.strip().removesuffix("m")) <= 2.6
        except ValueError:
            tall = False
    hint = f"; how tall people are is said with --height-m {text}" if tall else ""
    raise UserError(f"--height is the picture's, in whole pixels, not {text!r}{hint}.", exit_code=2)


#: The exit code of --strict.
IMPLAUSIBLE = 3

#: Both say that a file is to be shown as a camera would be.
LIVE_FLAGS = ("--live", "--realtime")

Lifter = Annotated[
    str, typer.Option(help="The network that turns 2D into 3D: a name from `weights list` or a .safetensors file.")
]
Flip = Annotated[
    bool,
    typer.Option(
        help="Lift the mirrored pose, too, and take the mean: a little better, and lifting takes twice as long."
    ),
]
Refine = Annotated[
    bool, typer.Option(help="Fit the poses to the 2D: bones keep their lengths, joints fall where they were seen.")
]
Smooth = Annotated[bool, typer.Option(help="Take the jitter out of the poses.")]
Device = Annotated[str, typer.Option(help="Where networks run: cpu, cuda, or auto: the GPU where there is one.")]
Pose2D = Annotated[
    str,
    typer.Option(
        help="What finds people's joints in the picture: movenet, movenet-lightning, mediapipe, hrnet, openmmlab, "
        "glsmamba; auto: the first of hrnet, movenet and mediapipe that can be had."
    ),
]
Pose2DWeights = Annotated[
    str | None,
    typer.Option(
        help="Its model: a name of `weights list` (hrnet), MMPose's (openmmlab), a file (glsmamba needs one)."
    ),
]
Pose2DSize = Annotated[
    str,
    typer.Option(
        help="Crops that its file was trained on, HEIGHTxWIDTH, where it is not one of `weights list`: 384x288."
    ),
]
Detector = Annotated[
    str,
    typer.Option(
        help="Finds people for hrnet, openmmlab and glsmamba: auto, yolox, yolox-tiny, multipose, mediapipe, rtmdet or "
        "faster-rcnn."
    ),
]
Cuts = Annotated[bool, typer.Option(help="Look for cuts; nobody goes on from one shot into the next.")]
MaxPeople = Annotated[int, typer.Option(help="Follow at most so many people.")]
FieldOfView = Annotated[float, typer.Option(help="Field of view along the picture's longer side, degrees.")]
Body = Annotated[
    str,
    typer.Option(
        help="What is shown of people: full, upper (no legs), or auto: legs only of those whose legs are seen."
    ),
]
Height = Annotated[
    int, typer.Option(parser=pixels, metavar="INTEGER", help="Height of the picture that is drawn, pixels, at most.")
]
Start = Annotated[float | None, typer.Option(help="Begin here in the file, seconds.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print only what went wrong.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the results as JSON.")]


def at_once(text: str) -> int | None:
    """How many videos at the same time; None of auto.

    Raises:
        UserError: it is something else (exit code 2).
    """
    if text == "auto":
        return None
    try:
        return int(text)
    except ValueError:
        raise UserError(f"--jobs must be a whole number or auto, not {text!r}.", exit_code=2) from None


def crop_size(text: str) -> tuple[int, int] | None:
    """Width and height of HEIGHTxWIDTH, as HRNet's files are named; None of nothing.

    Raises:
        UserError: it is something else (exit code 2).
    """
    if not text:
        return None
    try:
        height, width = (int(part) for part in text.lower().replace("×", "x").split("x"))
    except ValueError:
        raise UserError(f"--pose2d-size wants HEIGHTxWIDTH, 384x288 say, not {text!r}.", exit_code=2) from None
    return width, height


def address(text: str) -> tuple[str, int] | None:
    """Host and port of HOST:PORT; None of nothing.

    Raises:
        UserError: it is something else (exit code 2).
    """
    if not text:
        return None
    host, _, port = text.rpartition(":")
    try:
        return host.removeprefix("[").removesuffix("]"), int(port)
    except ValueError:
        raise UserError(f"--osc wants HOST:PORT, 127.0.0.1:39539 say, not {text!r}.", exit_code=2) from None


def camera(text: str) -> Intrinsics | None:
    """The camera of fx,fy,cx,cy; None of nothing.

    Raises:
        UserError: it is something else (exit code 2).
    """
    from sasmamba.app.motion.camera import Intrinsics

    if not text:
        return None
    try:
        fx, fy, cx, cy = (float(part) for part in text.split(","))
    except ValueError:
        raise UserError(f"--intrinsics wants four numbers fx,fy,cx,cy in pixels, not {text!r}.", exit_code=2) from None
    return Intrinsics(fx, fy, cx, cy)


def statures(text: str) -> float | dict[int, float] | None:
    """Metres of everybody, or by track id: 1.80, or 1=1.80,2=1.65; None of nothing.

    Raises:
        UserError: it is something else (exit code 2).
    """
    if not text:
        return None
    try:
        if "=" not in text:
            return float(text)
        told = [(int(who), float(tall)) for who, _, tall in (part.partition("=") for part in text.split(","))]
        if len(told) > len(dict(told)):
            raise UserError(f"--height-m names somebody twice: {text!r}.", exit_code=2)
        return dict(told)
    except ValueError:
        raise UserError(f"--height-m wants metres, 1.80 or 1=1.80,2=1.65, not {text!r}.", exit_code=2) from None
