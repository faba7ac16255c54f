"""The command line: arguments become a Job and Settings, errors become one sentence and an exit code. No logic."""

from __future__ import annotations

import difflib
import io
import json
import logging
import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table
from typer.core import TyperGroup

from sasmamba.app.cli.bars import Bars as _Bars
from sasmamba.app.io.source_names import is_live
from sasmamba.common import native_output
from sasmamba.common.errors import UserError
from sasmamba.training import commands as training_commands

_POSE2D_HELP = (
    "Finds joints: movenet, movenet-lightning, mediapipe, hrnet, openmmlab, glsmamba; auto: the first of hrnet, "
    "movenet and mediapipe that can be had."
)
_POSE2D_WEIGHTS_HELP = "Its model: a name of `weights list` (hrnet), MMPose's (openmmlab), a file (glsmamba needs one)."
_DETECTOR_HELP = (
    "Finds people for hrnet, openmmlab and glsmamba: auto, yolox, yolox-tiny, multipose, mediapipe, rtmdet or "
    "faster-rcnn."
)
_REFINE_HELP = "Fit the poses to the 2D: bones keep their lengths, joints fall where they were seen."
_SIZE_HELP = "Crops that its file was trained on, HEIGHTxWIDTH, where it is not one of `weights list`: 384x288."
_GLOBAL_FLAGS = {"--help", "-h", "--version"}
#: Both say that a file is to be shown as a camera would be.
_LIVE_FLAGS = ("--live", "--realtime")


class _VideoFirst(TyperGroup):
    """Lets `sasmamba-demo video.mp4 …` mean `run video.mp4 …`, and a camera, a stream or --live `live …`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in _GLOBAL_FLAGS:
            self._look_for_a_slip(args[0])
            args = ["live" if is_live(args[0]) else "run", *args]
        if args and args[0] in ("run", "live"):
            end = args.index("--") if "--" in args else len(args)  # what follows are names, whatever they look like
            options = [a for a in args[:end] if a not in _LIVE_FLAGS]
            args = [*(["live", *options[1:]] if len(options) < end else options), *args[end:]]
        return super().parse_args(ctx, args)

    def _look_for_a_slip(self, word: str) -> None:
        """Raises UserError for what is neither a command nor a file, but nearly a command."""
        plain = word.replace("-", "").isalpha() and not word.startswith("-")
        close = difflib.get_close_matches(word.lower(), list(self.commands), 1) if plain else []
        if close and not os.path.exists(word):
            raise UserError(
                f"There is neither a command nor a file {word!r}; did you mean `sasmamba-demo {close[0]}`?", exit_code=2
            )

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            _err.print("Stopped; nothing half-written is left.", highlight=False)
            raise typer.Exit(130) from None


app = typer.Typer(
    cls=_VideoFirst,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Point it at a video of people, get their motion in 3D.\n\n"
    "[bold]sasmamba-demo VIDEO.mp4 --out RENDER.mp4[/] draws the video and the people in 3D side by side; "
    "[bold]sasmamba-demo run --help[/] lists its options.\n\n"
    "[bold]sasmamba-demo 0[/] shows what the first camera sees, while it happens; "
    "[bold]sasmamba-demo VIDEO.mp4 --live[/] shows a file so.",
)
weights_app = typer.Typer(no_args_is_help=True, help="Model files: what there is, where it lies, fetch and verify.")
app.add_typer(weights_app, name="weights")

_out = Console()
_err = Console(stderr=True)


class _Tell(logging.Handler):
    """What the package tells while it works (a file being fetched, say) goes to standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        _err.print(escape(record.getMessage()), highlight=False, soft_wrap=True)


def _version(shown: bool) -> None:
    if shown:
        from importlib.metadata import version

        _out.print(f"sasmamba-demo {version('sasmamba-demo')}", highlight=False)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def _pixels(text: str) -> int:
    """A --height; who gives one in metres means somebody's."""
    try:
        return int(text)
    except ValueError:
        try:
            tall = 0.4 <= float(text.strip().removesuffix("m")) <= 2.6
        except ValueError:
            tall = False
    hint = f"; how tall people are is said with --height-m {text}" if tall else ""
    raise UserError(f"--height is the picture's, in whole pixels, not {text!r}{hint}.", exit_code=2)


@app.command()
def run(
    video: Annotated[Path, typer.Argument(help="The video (or picture) to do, or a folder of videos.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="The render, .mp4 or .gif; of a folder, a folder.", show_default="VIDEO_3d.mp4"
        ),
    ] = None,
    save_poses: Annotated[
        Path | None, typer.Option(help="Also save the poses, .npz; of a folder, any name: each beside its render.")
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(help="Of a folder: so many videos at the same time.", show_default="1, or all CPUs of --cluster"),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            help="Of a folder: do it on this Ray cluster, HOST:PORT of its head, or auto on one of its nodes."
        ),
    ] = None,
    start: Annotated[float | None, typer.Option(help="Begin here, seconds.")] = None,
    end: Annotated[float | None, typer.Option(help="End here, seconds.")] = None,
    max_frames: Annotated[int | None, typer.Option(help="Do at most so many frames.")] = None,
    max_people: Annotated[int, typer.Option(help="Follow at most so many people.")] = 8,
    person: Annotated[int | None, typer.Option(help="Save and draw only the person of this number.")] = None,
    lifter: Annotated[str, typer.Option(help="Lifter: a name from `weights list` or a .safetensors file.")] = "",
    flip: Annotated[
        bool, typer.Option(help="Average with the mirrored input: lifts a little better, at twice the cost.")
    ] = True,
    refine: Annotated[bool, typer.Option(help=_REFINE_HELP)] = True,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    pose2d: Annotated[str, typer.Option(help=_POSE2D_HELP)] = "auto",
    pose2d_weights: Annotated[str | None, typer.Option(help=_POSE2D_WEIGHTS_HELP)] = None,
    pose2d_size: Annotated[str, typer.Option(help=_SIZE_HELP)] = "",
    detector: Annotated[str, typer.Option(help=_DETECTOR_HELP)] = "auto",
    pose2d_every: Annotated[
        int, typer.Option(help="Look for joints in every so many frames only (1 to 10): faster, less exact.")
    ] = 1,
    smooth: Annotated[bool, typer.Option(help="Take the jitter out of the poses.")] = True,
    fov: Annotated[float, typer.Option(help="Field of view along the picture's longer side, degrees.")] = 60.0,
    intrinsics: Annotated[str, typer.Option(help="The camera, if it is known: fx,fy,cx,cy in pixels.")] = "",
    height_m: Annotated[str, typer.Option(help="How tall people are, metres: 1.80, or by number 1=1.80,2=1.65.")] = "",
    export: Annotated[
        str, typer.Option(help="Also write: some of bvh, trc, c3d, csv, json, npz, html, rrd, with commas.")
    ] = "",
    height: Annotated[
        int, typer.Option(parser=_pixels, metavar="INTEGER", help="Height of the render, pixels, at most.")
    ] = 720,
    numbers: Annotated[bool, typer.Option("--numbers", help="Draw frame number, time and stage timings.")] = False,
    live_: Annotated[  # taken by `_VideoFirst`; it stands here for --help
        bool,
        typer.Option(*_LIVE_FLAGS, help="Show the file at its own pace, as `live` shows a camera, with its options."),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only what went wrong.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Render a video beside its people in 3D (the word `run` may be left out)."""
    from sasmamba.app.config import Job, Settings, default_out
    from sasmamba.app.export.formats import parse_formats
    from sasmamba.app.pipeline import Report
    from sasmamba.app.pipeline import run as run_pipeline
    from sasmamba.app.weights.lifters import DEFAULT_LIFTER

    folder = os.path.isdir(video)  # not Path.is_dir, which raises for a name too long for the disk
    for option, value, how in (("--jobs", jobs, "by one process"), ("--cluster", cluster, "on one machine")):
        if value is not None and not folder:
            raise UserError(f"{option} is for a folder of videos; one video is done {how}.", exit_code=2)
    job = None if folder else Job(video, out or default_out(video), save_poses)
    settings = Settings(
        start_s=start,
        end_s=end,
        max_frames=max_frames,
        pose2d=pose2d,  # type: ignore[arg-type]
        pose2d_weights=pose2d_weights,  # type: ignore[arg-type]
        pose2d_px=_size(pose2d_size),
        detector=detector,  # type: ignore[arg-type]
        pose2d_every=pose2d_every,
        max_people=max_people,
        person=person,
        lifter=lifter or DEFAULT_LIFTER,
        flip=flip,
        refine=refine,
        device=device,
        smooth=smooth,
        fov_deg=fov,
        intrinsics=_intrinsics(intrinsics),
        height_m=_heights(height_m),
        export=parse_formats(export) if export else (),
        height=height,
        numbers=numbers,
    )
    _listen(quiet or as_json)
    if job is None:
        from sasmamba.app.cli.folder import run_folder

        run_folder(
            video,
            out,
            settings,
            save_poses=save_poses is not None,
            jobs=jobs,
            cluster=cluster,
            quiet=quiet,
            as_json=as_json,
        )
        return
    with _Bars(quiet or as_json) as bars:
        report: Report = run_pipeline(job, settings, bars)
    if as_json:
        _print_json(asdict(report) | {"fps": report.fps})
    elif not quiet:
        _summary(report)
    for problem in report.problems if not as_json else []:
        _err.print(f"[yellow]Note:[/] {escape(problem)}", highlight=False, soft_wrap=True)
    if report.interrupted:
        frames = f"{report.written} frame{'s' * (report.written != 1)}"
        held = f"the render holds the first {frames}" if report.written else "there is no render"
        _err.print(f"Stopped: {held}.", highlight=False)
        raise typer.Exit(130)


def _intrinsics(text: str) -> Any:
    from sasmamba.app.motion.camera import Intrinsics

    if not text:
        return None
    try:
        fx, fy, cx, cy = (float(part) for part in text.split(","))
    except ValueError:
        raise UserError(f"--intrinsics wants four numbers fx,fy,cx,cy in pixels, not {text!r}.", exit_code=2) from None
    return Intrinsics(fx, fy, cx, cy)


def _size(text: str) -> tuple[int, int] | None:
    """Width and height of HEIGHTxWIDTH, as HRNet's files are named."""
    if not text:
        return None
    try:
        height, width = (int(part) for part in text.lower().replace("×", "x").split("x"))
    except ValueError:
        raise UserError(f"--pose2d-size wants HEIGHTxWIDTH, 384x288 say, not {text!r}.", exit_code=2) from None
    return width, height


def _heights(text: str) -> float | dict[int, float] | None:
    if not text:
        return None
    try:
        if "=" not in text:
            return float(text)
        return {int(who): float(tall) for who, _, tall in (part.partition("=") for part in text.split(","))}
    except ValueError:
        raise UserError(f"--height-m wants metres, 1.80 or 1=1.80,2=1.65, not {text!r}.", exit_code=2) from None


def _listen(quiet: bool) -> None:
    logger = logging.getLogger("sasmamba")
    logger.setLevel(logging.WARNING if quiet else logging.INFO)
    logger.handlers = [_Tell()]


def _table(*headers: str) -> Table:
    """A table without lines, whose long words are broken and never cut off."""
    table = Table(show_header=any(headers), box=None, padding=(0, 2, 0, 0))
    for header in headers or ("", ""):
        table.add_column(header, overflow="fold")
    return table


def _print_json(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def _repairs(repairs: list[Any], most: int = 4) -> str:
    told = "; ".join(f"#{r.track_id} {r}" for r in repairs[:most])
    return told + (f"; {len(repairs) - most} more" if len(repairs) > most else "")


def _summary(report: Any) -> None:
    table = _table()
    people = ", ".join(f"#{i} in {n}" for i, n in report.people.items()) or "nobody"
    detections = "" if report.detections == report.frames else f", joints looked for in {report.detections}"
    table.add_row("frames", f"{report.written} drawn of {report.frames} read{detections}")
    table.add_row("people", f"{people} frames" if report.people else people)
    if report.side_repairs:
        table.add_row("sides", f"exchanged back {len(report.side_repairs)} times: {_repairs(report.side_repairs)}")
    table.add_row("speed", f"{report.fps:.1f} frames/s, after {report.startup_s:.1f} s of start-up")
    table.add_row("per frame", ", ".join(f"{stage} {ms:.1f} ms" for stage, ms in report.stage_ms.items()))
    table.add_row("models", f"2D {report.pose2d}, 3D {report.model}")
    _out.print(table, highlight=False)
    for file in report.files:  # outside the table, which would cut a long name to the terminal's width
        _out.print(f"written    {escape(file)}", highlight=False, soft_wrap=True)


@app.command()
def live(
    source: Annotated[str, typer.Argument(help="Camera number or device, stream address, or a file at its own pace.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Record from the start, .mp4.")] = None,
    lookahead: Annotated[
        int, typer.Option(help="Frames of the future the lifter gets to see: more exact, and later by as much.")
    ] = 0,
    window: Annotated[
        bool | None,
        typer.Option("--window/--no-window", help="Show a window.", show_default="where there is a display"),
    ] = None,
    serve: Annotated[
        int | None, typer.Option(help="Port of a page to watch in a browser.", show_default="without a display: 8477")
    ] = None,
    seconds: Annotated[float | None, typer.Option(help="End after so long.")] = None,
    start: Annotated[float | None, typer.Option(help="Begin here in a file, seconds.")] = None,
    patience: Annotated[float, typer.Option(help="Wait so many seconds for a lost camera or stream.")] = 60.0,
    max_people: Annotated[int, typer.Option(help="Follow at most so many people.")] = 2,
    lifter: Annotated[str, typer.Option(help="Lifter: a name from `weights list` or a .safetensors file.")] = "",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    pose2d: Annotated[str, typer.Option(help=_POSE2D_HELP)] = "auto",
    pose2d_weights: Annotated[str | None, typer.Option(help=_POSE2D_WEIGHTS_HELP)] = None,
    pose2d_size: Annotated[str, typer.Option(help=_SIZE_HELP)] = "",
    detector: Annotated[str, typer.Option(help=_DETECTOR_HELP)] = "auto",
    fov: Annotated[float, typer.Option(help="Field of view along the picture's longer side, degrees.")] = 60.0,
    height: Annotated[
        int, typer.Option(parser=_pixels, metavar="INTEGER", help="Height of the picture, pixels, at most.")
    ] = 720,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only what went wrong.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Show people in 3D while it happens, and how late (the word `live` may be left out for cameras and streams).

    Keys in the window: q quit, space pause, r record, arrows turn the 3D view.
    """
    from sasmamba.app.config import LiveJob, LiveSettings
    from sasmamba.app.live.run_live import run_live
    from sasmamba.app.weights.lifters import DEFAULT_LIFTER

    job = LiveJob(source, out)
    settings = LiveSettings(
        serve=serve,
        window=window,
        lookahead=lookahead,
        seconds=seconds,
        patience_s=patience,
        pose2d=pose2d,  # type: ignore[arg-type]
        pose2d_weights=pose2d_weights,
        pose2d_px=_size(pose2d_size),  # type: ignore[arg-type]
        detector=detector,  # type: ignore[arg-type]
        max_people=max_people,
        lifter=lifter or DEFAULT_LIFTER,
        device=device,
        fov_deg=fov,
        height=height,
        start_s=start,
    )
    _listen(quiet or as_json)

    def tell(sentence: str) -> None:
        if not quiet:
            _err.print(escape(sentence), highlight=False, soft_wrap=True)

    report = run_live(job, settings, tell)
    if as_json:
        _print_json(asdict(report) | {"fps": report.fps})
    elif not quiet:
        table = _table()
        table.add_row(
            "frames", f"{report.shown} shown of {report.captured}, {report.dropped + report.undrawn} overtaken"
        )
        table.add_row("speed", f"{report.fps:.1f} frames/s")
        late = f", of which {report.lookahead} frames are look-ahead" if report.lookahead else ""
        table.add_row("delay", f"{report.delay_ms:.0f} ms, 95 % below {report.delay_95_ms:.0f} ms{late}")
        table.add_row("per frame", ", ".join(f"{stage} {ms:.1f} ms" for stage, ms in report.stage_ms.items()))
        _out.print(table, highlight=False)
        for file in report.files:
            _out.print(f"written    {escape(file)}", highlight=False, soft_wrap=True)
    if report.interrupted:
        raise typer.Exit(130)
    if report.problems:  # told when they arose
        raise typer.Exit(1)


@app.command()
def lift(
    source: Annotated[Path, typer.Argument(metavar="IN.npz", help="keypoints (F, J, 3), fps, width, height, skeleton")],
    out: Annotated[Path, typer.Argument(metavar="OUT.npz", help="Where joints3d (F, 17, 3) goes.")],
    lifter: Annotated[str, typer.Option(help="Lifter: a name from `weights list` or a .safetensors file.")] = "",
    flip: Annotated[
        bool, typer.Option(help="Average with the mirrored input: a little better, at twice the cost.")
    ] = True,
    refine: Annotated[bool, typer.Option(help=_REFINE_HELP)] = True,
    smooth: Annotated[bool, typer.Option(help="Take the jitter out of the poses.")] = True,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
) -> None:
    """Lift 2D poses of your own to 3D."""
    from sasmamba.app.lift_file import lift_file
    from sasmamba.app.lifting.lifter import Lifter
    from sasmamba.app.weights.lifters import DEFAULT_LIFTER
    from sasmamba.common.device import resolve_device

    _listen(quiet)
    chosen = Lifter.load(lifter or DEFAULT_LIFTER, resolve_device(device), flip, refine=refine)
    with _Bars(quiet) as bars:
        frames = lift_file(source, out, chosen, smooth, bars)
    if not quiet:
        _out.print(f"{frames} frames lifted to {out}", highlight=False, soft_wrap=True)


@app.command("export-onnx")
def export_onnx(
    lifter: Annotated[str, typer.Argument(help="A name from `weights list` or a .safetensors file.")],
    out: Annotated[Path, typer.Argument(metavar="OUT.onnx", help="Where the ONNX file goes.")],
    frames: Annotated[
        int | None,
        typer.Option(
            help="Frames of a window, fixed in the file; the batch is free.", show_default="the lifter's longest"
        ),
    ] = None,
) -> None:
    """Write a lifter as ONNX: joints in pixels in, metres out; for other languages and runtimes."""
    from sasmamba.app.lifting.export_onnx import export_lifter

    _out.print(f"{escape(str(export_lifter(lifter, out, frames)))} written", highlight=False, soft_wrap=True)


@app.command()
def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False) -> None:
    """Say what works on this machine and how to mend the rest."""
    from sasmamba.app.cli.doctor import examine, verdict

    findings = examine()
    last = verdict(findings)
    if as_json:
        _print_json({f.part: {"ok": f.ok, "found": f.found, "remedy": f.remedy} for f in (*findings, last)})
    else:
        table = _table("", "", "")
        for f in findings:
            mark = "[green]ok[/]" if f.ok else "[yellow]--[/]" if f.optional else "[red]no[/]"
            table.add_row(mark, f.part, escape(f.found) + (f" [dim]→ {escape(f.remedy)}[/]" if f.remedy else ""))
        _out.print(table, highlight=False)
        _out.print(f"{escape(last.found)} {escape(last.remedy)}".strip(), highlight=False, soft_wrap=True)
    if not last.ok:
        raise typer.Exit(1)


@app.command()
def bench(
    video: Annotated[
        Path | None, typer.Argument(help="The clip to run on, its first 300 frames.", show_default="the demo clip")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A few frames of everything: rough figures.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Measure how fast everything is on this machine, in about a minute."""
    from sasmamba.app.cli.bench import measure, rows

    _listen(as_json)
    results = measure(video, quick=quick)
    if as_json:
        _print_json(results)
        return
    table = _table()
    for what, figure in rows(results):
        table.add_row(what, escape(figure))
    _out.print(table, highlight=False)


@weights_app.command("list")
def weights_list() -> None:
    """All model files with size, licence, how they are checked and whether they are here."""
    from sasmamba.app import weights

    table = _table("name", "state", "MB", "check", "licence", "purpose")
    for entry in weights.entries():
        state = weights.verify(entry.name).state
        size = "" if entry.size is None else f"{entry.size / 1e6:.1f}"
        table.add_row(entry.name, state, size, entry.sources[0].check, entry.licence, entry.purpose)
    # on lines as long as they are: whoever is to type a name must see all of it
    wide = Console(width=max(_out.width, Measurement.get(_out, _out.options.update(max_width=1000), table).maximum))
    wide.print(table, highlight=False)


@weights_app.command("fetch")
def weights_fetch(
    names: Annotated[list[str] | None, typer.Argument(help="Which; all when none is named.")] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Touch no network: only say what is missing.")] = False,
) -> None:
    """Get model files that are not here yet."""
    from sasmamba.app import weights

    for name in names or [e.name for e in weights.entries()]:
        path = weights.ensure(name, offline=offline or None, tell=lambda s: _err.print(s, highlight=False))
        _out.print(f"{name}: {path}", highlight=False, soft_wrap=True)


@weights_app.command("verify")
def weights_verify(
    names: Annotated[list[str] | None, typer.Argument(help="Which; all when none is named.")] = None,
) -> None:
    """Check the files that are here against their checksums; exit code 1 if one is damaged."""
    from sasmamba.app import weights

    states = [weights.verify(name) for name in names or [e.name for e in weights.entries()]]
    for status in states:
        _out.print(f"{status.entry.name}: {status.state}", highlight=False)
    if any(s.state == "damaged" or (names and s.state != "ok") for s in states):
        raise typer.Exit(1)


@weights_app.command("where")
def weights_where(name: Annotated[str, typer.Argument(help="Which.")]) -> None:
    """Print where a file lies or would lie."""
    from sasmamba.app import weights

    _out.print(str(weights.verify(name).path), highlight=False, soft_wrap=True)


# Training: the commands' logic and their help live in sasmamba.training.
app.command()(training_commands.train)
app.command()(training_commands.train_2d)
app.command()(training_commands.evaluate)


def main() -> None:
    """Entry point: runs the command and turns a UserError into its sentence and exit code."""
    _settle_streams()
    native_output.silence()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that clean-up takes place
    try:
        app(prog_name="sasmamba-demo")
    except UserError as error:
        _fail(str(error), error.exit_code)
    except OSError as error:  # a full disk behind standard output, say
        _fail(f"The system refuses to go on: {error}. Mend that and run the command again.", 1)


def _fail(sentence: str, exit_code: int) -> NoReturn:
    _err.print(f"[red]Error:[/] {escape(sentence)}", highlight=False, soft_wrap=True)
    sys.exit(exit_code)


def _settle_streams() -> None:
    """Makes sure that there is something to print to, and that no name is impossible to print."""
    for number in range(3):  # a closed stream would lend its number to the next file opened, the video perhaps
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 (lives to the end)
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    main()
