"""Under which heading of `--help` an option stands; those that most people need stand first, under none of these."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Headings in their order, and the options under each; an option means the same in every command that has it.
PANELS = {
    "Files of motion": ("save_poses", "from_poses", "fixes", "rig", "bvh_scale", "markers", "keep_inferred"),
    "The camera and the people": ("fov", "intrinsics", "camera", "level", "pitch", "roll", "height_m", "body"),
    "Showing and sending": ("window", "serve", "serve_host", "ws", "osc", "lookahead", "patience"),
    "The picture that is drawn": ("height", "numbers"),
    "Finding people (2D)": ("pose2d", "pose2d_weights", "pose2d_size", "detector", "pose2d_every", "cuts", "stream"),
    "Lifting to 3D": ("lifter", "flip", "refine", "smooth"),
    "Folders, and the machine": ("jobs", "cluster", "threads", "device", "strict"),
}


def put_under_headings(commands: Mapping[str, Any]) -> None:
    """Gives every option of many its heading; a command with few stays one list."""
    heading = {name: panel for panel, names in PANELS.items() for name in names}
    for command in commands.values():
        options = [p for p in command.params if p.param_type_name == "option"]
        if len(options) > 12:
            order = list(PANELS)
            for option in options:
                option.rich_help_panel = heading.get(option.name)
            # headings come in the order of their first options
            command.params.sort(key=lambda p: order.index(heading[p.name]) if p.name in heading else -1)
