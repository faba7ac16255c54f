"""The commands' options: declared once, with the defaults of the settings they become; and help that comes at once."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from itertools import combinations
from pathlib import Path
from typing import get_type_hints

import pytest

from sasmamba.app.cli.lift import lift
from sasmamba.app.cli.live import live
from sasmamba.app.cli.run import run
from sasmamba.app.config import LiveSettings, Settings, SharedSettings
from sasmamba.common.errors import UserError

#: Options that are called otherwise than their setting.
CALLED = {
    "start": "start_s",
    "end": "end_s",
    "fov": "fov_deg",
    "pitch": "pitch_deg",
    "roll": "roll_deg",
    "pose2d_size": "pose2d_px",
    "patience": "patience_s",
}
#: Options whose text becomes another value; nothing stands for the default.
PARSED = {"lifter", "pose2d_size", "intrinsics", "height_m", "export", "osc"}
#: What says where, or how to print, or stands for two others (--level); no settings.
NO_SETTINGS = {
    run: {
        *("video", "out", "save_poses", "from_poses", "fixes", "jobs", "cluster", "level", "live_", "quiet", "as_json"),
        "strict",
    },
    live: {"source", "out", "quiet", "as_json"},
}
HELP = "from sasmamba.app.cli.main import main; main()"


@pytest.mark.parametrize(("command", "settings"), [(run, Settings), (live, LiveSettings)])
def test_every_setting_has_an_option_with_its_default(command: Callable, settings: type[SharedSettings]) -> None:
    options = {
        CALLED.get(name, name): "" if name in PARSED else parameter.default
        for name, parameter in inspect.signature(command).parameters.items()
        if name not in NO_SETTINGS[command]
    }
    defaults = {field.name: field.default for field in fields(settings)}
    assert options.keys() == defaults.keys()
    parsed = {CALLED.get(name, name) for name in PARSED}
    assert options == defaults | dict.fromkeys(parsed & defaults.keys(), "")


@pytest.mark.parametrize(("one", "other"), list(combinations((run, live, lift), 2)))
def test_an_option_of_two_commands_is_declared_once(one: Callable, other: Callable) -> None:
    ours, theirs = (get_type_hints(command, include_extras=True) for command in (one, other))
    both = ours.keys() & theirs.keys() - {"return", "source", "out"}  # each of these means something else
    assert len(both) >= 3
    assert [name for name in both if ours[name] != theirs[name]] == []


def test_a_level_camera_has_no_other_pitch(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="leave it out to give them") as told:
        run(tmp_path / "video.mp4", level=True, pitch=3.0)
    assert told.value.exit_code == 2


def test_live_settings_repeat_nothing() -> None:
    added = [{*vars(settings)["__annotations__"]} for settings in (Settings, LiveSettings)]
    shared = {field.name for field in fields(SharedSettings)}
    assert [own & shared for own in added] == [set(), {"lifter", "max_people"}]  # whose defaults are others


def test_help_loads_nothing_that_computes() -> None:
    heavy = {"torch", "numpy", "cv2", "av", "mediapipe", "matplotlib", "onnxruntime", "requests", "ray", "safetensors"}
    code = f"""
import sys
sys.argv = ["sasmamba-demo", "--help"]
try:
    {HELP}
finally:
    print("loaded:", *sorted({heavy} & sys.modules.keys()), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Usage: sasmamba-demo" in done.stdout
    assert done.stderr.split() == ["loaded:"]


@pytest.mark.timing
@pytest.mark.skipif(not hasattr(os, "wait4"), reason="the system does not tell a process's CPU time")
def test_help_comes_at_once() -> None:
    """In CPU time, which other work on the machine does not change; Python alone takes 20 ms or so."""

    def seconds(code: str) -> float:
        process = subprocess.Popen([sys.executable, "-c", code, "--help"], stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        return usage.ru_utime + usage.ru_stime

    rounds = [(seconds("pass"), seconds(HELP)) for _ in range(5)]  # in turns: both meet the same neighbours
    alone, with_help = (min(times) for times in zip(*rounds, strict=True))
    assert with_help < 16 * alone
