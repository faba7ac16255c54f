"""`sasmamba-demo live`: arguments become a LiveJob and LiveSettings, the report a table or JSON. No logic."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sasmamba.app.cli import console, options

if TYPE_CHECKING:
    from sasmamba.app.live.run_live import LiveReport


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
    serve_host: Annotated[
        str,
        typer.Option(help="Address of this machine to serve on; 0.0.0.0 lets others watch who have the printed link."),
    ] = "127.0.0.1",
    ws: Annotated[
        int | None,
        typer.Option(
            help="Port of a WebSocket that sends motion as JSON (joints, angles, capture time), and of the page.",
            show_default="with the page",
        ),
    ] = None,
    osc: Annotated[
        str,
        typer.Option(
            help="Send bones there by the VMC protocol, HOST:PORT; Unity, Unreal, VSeeFace listen on 127.0.0.1:39539."
        ),
    ] = "",
    seconds: Annotated[float | None, typer.Option(help="End after so long.")] = None,
    start: options.Start = None,
    patience: Annotated[float, typer.Option(help="Wait so many seconds for a lost camera or stream.")] = 60.0,
    max_people: options.MaxPeople = 2,
    cuts: options.Cuts = True,
    lifter: options.Lifter = "",
    device: options.Device = "auto",
    pose2d: options.Pose2D = "auto",
    pose2d_weights: options.Pose2DWeights = None,
    pose2d_size: options.Pose2DSize = "",
    detector: options.Detector = "auto",
    fov: options.FieldOfView = 60.0,
    body: options.Body = "auto",
    height: options.Height = 720,
    quiet: options.Quiet = False,
    as_json: options.AsJson = False,
) -> None:
    """Show people in 3D while it happens, and how late (the word `live` may be left out for cameras and streams).

    Keys in the window: q quit, space pause, r record, arrows turn the 3D view.
    """
    from sasmamba.app.config import LiveJob, LiveSettings
    from sasmamba.app.live.run_live import run_live

    job = LiveJob(source, out)
    settings = LiveSettings(
        serve=serve,
        serve_host=serve_host,
        ws=ws,
        osc=options.address(osc),
        window=window,
        lookahead=lookahead,
        seconds=seconds,
        patience_s=patience,
        pose2d=pose2d,  # type: ignore[arg-type]
        pose2d_weights=pose2d_weights,
        pose2d_px=options.crop_size(pose2d_size),
        detector=detector,  # type: ignore[arg-type]
        max_people=max_people,
        cuts=cuts,
        lifter=lifter,
        device=device,
        fov_deg=fov,
        body=body,  # type: ignore[arg-type]
        height=height,
        start_s=start,
    )
    console.show_messages(quiet or as_json)
    report = run_live(job, settings, lambda sentence: None if quiet else console.note(sentence))
    if as_json:
        console.print_json(asdict(report) | {"fps": report.fps})
    elif not quiet:
        _print_summary(report)
    if report.interrupted:
        raise typer.Exit(130)
    if report.problems:  # told when they arose
        raise typer.Exit(1)


def _print_summary(report: LiveReport) -> None:
    table = console.table()
    table.add_row("frames", f"{report.shown} shown of {report.captured}, {report.dropped + report.undrawn} overtaken")
    table.add_row("speed", f"{report.fps:.1f} frames/s")
    late = f", of which {report.lookahead} frames are look-ahead" if report.lookahead else ""
    table.add_row("delay", f"{report.delay_ms:.0f} ms, 95 % below {report.delay_95_ms:.0f} ms{late}")
    table.add_row("per frame", ", ".join(f"{stage} {ms:.1f} ms" for stage, ms in report.stage_ms.items()))
    if report.sent:
        table.add_row("sent", f"{report.sent} frames as data, {report.unsent} overtaken")
    if len(report.level_s) > 1:
        table.add_row("2D", ", ".join(f"{level} for {seconds:.0f} s" for level, seconds in report.level_s.items()))
    elif report.level:
        table.add_row("2D", report.level)
    console.out.print(table, highlight=False)
    console.print_files(report.files)
