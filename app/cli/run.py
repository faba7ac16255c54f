"""`sasmamba-demo run`: arguments become a Job and Settings, the report a table or JSON and an exit code. No logic."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sasmamba.app.cli import console, options
from sasmamba.app.cli.options import IMPLAUSIBLE
from sasmamba.common.errors import UserError

if TYPE_CHECKING:
    from sasmamba.app.pose2d.sides import SideRepair
    from sasmamba.app.run_report import Report


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
    from_poses: Annotated[
        Path | None,
        typer.Option(
            help="Take people from poses that --save-poses or fix wrote, .npz, instead of finding them; with the "
            "options of then, where none are given."
        ),
    ] = None,
    fixes: Annotated[Path | None, typer.Option(help="Apply corrections by hand, a file that fix wrote.")] = None,
    jobs: Annotated[
        str,
        typer.Option(
            help="Of a folder: so many videos at the same time; auto: as many as cores and memory allow, or all CPUs "
            "of a --cluster."
        ),
    ] = "auto",
    cluster: Annotated[
        str | None,
        typer.Option(
            help="Of a folder: do it on this Ray cluster, HOST:PORT of its head, or auto on one of its nodes."
        ),
    ] = None,
    start: options.Start = None,
    end: Annotated[float | None, typer.Option(help="End here, seconds.")] = None,
    max_frames: Annotated[int | None, typer.Option(help="Do at most so many frames.")] = None,
    stream: Annotated[
        int | None,
        typer.Option(
            help="Number of the stream to read, where a file holds several films.", show_default="the longest, largest"
        ),
    ] = None,
    max_people: options.MaxPeople = 8,
    person: Annotated[int | None, typer.Option(help="Save and draw only the person of this number.")] = None,
    lifter: options.Lifter = "",
    flip: options.Flip = True,
    refine: options.Refine = True,
    device: options.Device = "auto",
    pose2d: options.Pose2D = "auto",
    pose2d_weights: options.Pose2DWeights = None,
    pose2d_size: options.Pose2DSize = "",
    detector: options.Detector = "auto",
    pose2d_every: Annotated[
        int, typer.Option(help="Find joints in every so many frames only (1 to 10): faster, less exact.")
    ] = 1,
    cuts: options.Cuts = True,
    camera: Annotated[
        str,
        typer.Option(help="What the camera does: still, rotating (pans, tilts, zooms, shakes), or auto to find out."),
    ] = "auto",
    smooth: options.Smooth = True,
    fov: options.FieldOfView = 60.0,
    body: options.Body = "auto",
    intrinsics: Annotated[str, typer.Option(help="The camera, if it is known: fx,fy,cx,cy in pixels.")] = "",
    height_m: Annotated[str, typer.Option(help="How tall people are, metres: 1.80, or by number 1=1.80,2=1.65.")] = "",
    level: Annotated[
        bool, typer.Option("--level", help="The camera is level: the same as --pitch 0 --roll 0.")
    ] = False,
    pitch: Annotated[
        float | None, typer.Option(help="The camera looks down by so much, degrees.", show_default="estimated")
    ] = None,
    roll: Annotated[
        float | None,
        typer.Option(
            help="Up leans to the right in the picture by so much, degrees.",
            show_default="estimated",
        ),
    ] = None,
    export: Annotated[
        str,
        typer.Option(
            help="Also write, with commas: bvh, glb, usd, trc, c3d, angles, measures, csv, json, npz, html, rrd."
        ),
    ] = "",
    rig: Annotated[str, typer.Option(help="Whose bones BVH, GLB and USD have: cmu, mixamo, unity or vrm.")] = "cmu",
    bvh_scale: Annotated[float, typer.Option(help="Lengths of BVH times this; 1: centimetres, 0.01: metres.")] = 1.0,
    markers: Annotated[
        str, typer.Option(help="Whose names TRC and C3D have for markers: ours, pose2sim or opensim.")
    ] = "ours",
    keep_inferred: Annotated[
        bool,
        typer.Option(
            "--keep-inferred", help="Write limbs, too, that were not in the picture: the lifter's guess at them."
        ),
    ] = False,
    height: options.Height = 720,
    numbers: Annotated[bool, typer.Option("--numbers", help="Draw frame number, time and stage timings.")] = False,
    live_: Annotated[  # taken by `CommandGroup`; it stands here for --help
        bool,
        typer.Option(
            *options.LIVE_FLAGS, help="Show the file at its own pace, as `live` shows a camera, with its options."
        ),
    ] = False,
    threads: Annotated[
        int | None,
        typer.Option(help="Work on so many things at once; the results are the same.", show_default="all cores"),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="End with exit code 3 if a self-check finds something implausible.")
    ] = False,
    quiet: options.Quiet = False,
    as_json: options.AsJson = False,
) -> None:
    """Render a video beside its people in 3D (the word `run` may be left out)."""
    from sasmamba.app.config import Job, Settings, default_out
    from sasmamba.app.export.formats import parse_formats
    from sasmamba.app.weights.lifters import DEFAULT_LIFTER

    folder = os.path.isdir(video)  # not Path.is_dir, which raises for a name too long for the disk
    at_once = options.at_once(jobs)
    for option, file in (("--from-poses", from_poses), ("--fixes", fixes)):
        if file is not None and folder:
            raise UserError(f"{option} is for one video; {video} is a folder.", exit_code=2)
    for option, value, how in (("--jobs", at_once, "by one process"), ("--cluster", cluster, "on one machine")):
        if value is not None and not folder:
            raise UserError(f"{option} is for a folder of videos; one video is done {how}.", exit_code=2)
    if level and (pitch is not None or roll is not None):
        raise UserError("--level says that pitch and roll are 0; leave it out to give them.", exit_code=2)
    job = None if folder else Job(video, out or default_out(video), save_poses, from_poses, fixes)
    settings = Settings(
        start_s=start,
        end_s=end,
        max_frames=max_frames,
        stream=stream,
        pose2d=pose2d,  # type: ignore[arg-type]
        pose2d_weights=pose2d_weights,
        pose2d_px=options.crop_size(pose2d_size),
        detector=detector,  # type: ignore[arg-type]
        pose2d_every=pose2d_every,
        cuts=cuts,
        camera=camera,  # type: ignore[arg-type]
        max_people=max_people,
        person=person,
        lifter=lifter or DEFAULT_LIFTER,
        flip=flip,
        refine=refine,
        device=device,
        smooth=smooth,
        fov_deg=fov,
        body=body,  # type: ignore[arg-type]
        intrinsics=options.camera(intrinsics),
        height_m=options.statures(height_m),
        pitch_deg=0.0 if level else pitch,
        roll_deg=0.0 if level else roll,
        export=parse_formats(export) if export else (),
        rig=rig,
        bvh_scale=bvh_scale,
        markers=markers,
        keep_inferred=keep_inferred,
        height=height,
        numbers=numbers,
        threads=threads,
    )
    console.show_messages(quiet or as_json)
    if job is None:
        from sasmamba.app.cli.folder import run_folder

        run_folder(
            video,
            out,
            settings,
            save_poses=save_poses is not None,
            jobs=at_once,
            cluster=cluster,
            quiet=quiet,
            as_json=as_json,
            strict=strict,
        )
        return
    from sasmamba.app import pipeline
    from sasmamba.app.cli.bars import Bars
    from sasmamba.app.motion.checks import sentences

    with Bars(quiet or as_json) as bars:
        report = pipeline.run(job, settings, bars)
    if as_json:
        console.print_json(report.plain())
    else:
        if not quiet:
            _print_summary(report)
        for problem in [*report.problems, *sentences(report.findings)]:
            console.problem(problem)
    if report.interrupted:
        frames = f"{report.written} frame{'s' * (report.written != 1)}"
        held = f"the render holds the first {frames}" if report.written else "there is no render"
        console.note(f"Stopped: {held}.")
        raise typer.Exit(130)
    if strict and report.findings:
        raise typer.Exit(IMPLAUSIBLE)


def _list_repairs(repairs: list[SideRepair], most: int = 4) -> str:
    told = "; ".join(f"#{r.track_id} {r}" for r in repairs[:most])
    return told + (f"; {len(repairs) - most} more" if len(repairs) > most else "")


def _print_summary(report: Report) -> None:
    from collections import Counter

    from sasmamba.app.take import cut_list

    table = console.table()
    people = ", ".join(f"#{i} in {n}" for i, n in report.people.items()) or "nobody"
    legless = ", ".join(f"#{i}" for i in report.upper)
    detections = "" if report.detections == report.frames else f", {report.detections} of them detection frames"
    table.add_row("frames", f"{report.written} drawn of {report.frames} read{detections}")
    table.add_row("people", f"{people} frames" if report.people else people)
    if legless:
        table.add_row("body", f"no legs of {legless}: they are hardly ever in the picture (--body full shows them)")
    if report.cuts:
        table.add_row("cuts", cut_list(report.cuts, most=8))
    table.add_row("camera", report.camera)
    if report.side_repairs:
        repairs = f"exchanged back {len(report.side_repairs)} times: {_list_repairs(report.side_repairs)}"
        table.add_row("sides", repairs)
    for n, shot in enumerate(report.upright):
        told = ", as was said" if not shot["upright_uncertainty_deg"] else f", ±{shot['upright_uncertainty_deg']:.1f}°"
        which = f"shot {n + 1}: " if len(report.upright) > 1 else ""
        way = "down" if shot["pitch_deg"] >= 0 else "up"
        table.add_row(
            "" if n else "camera",
            f"{which}looks {way} by {abs(shot['pitch_deg']):.1f}°, rolled by {shot['roll_deg']:.1f}°{told}; "
            f"{shot['height_m']:.1f} m above the floor",
        )
    counts = Counter(finding.kind for finding in report.findings)
    told = ", ".join(f"{kind} {n}×" for kind, n in counts.items()).replace("_", " ")
    count = "1 finding" if len(report.findings) == 1 else f"{len(report.findings)} findings"
    table.add_row("checks", f"{count}: {told}" if counts else "nothing implausible was found")
    table.add_row("speed", f"{report.fps:.1f} frames/s, after {report.startup_s:.1f} s of start-up")
    table.add_row("per frame", ", ".join(f"{stage} {ms:.1f} ms" for stage, ms in report.stage_ms.items()))
    table.add_row("models", f"2D {report.pose2d}, 3D {report.model}")
    console.out.print(table, highlight=False)
    console.print_files(report.files)
