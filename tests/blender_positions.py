"""Run by tests in a process of its own: what Blender (the package bpy) finds in files, as JSON.

    python blender_positions.py FILE FRAMES OUT.json

Imports one file into an empty scene of 30 frames per second and writes where bones' heads are, by armature: at rest,
and in every tenth frame of the clip; metres, z up.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import bpy


def main() -> None:
    path, frames, out = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.fps, first = 30, 0
    if path.suffix == ".bvh":
        bpy.ops.import_anim.bvh(filepath=str(path), global_scale=0.01, frame_start=1)
        first = 1  # Blender's frame of the file's first pose
    elif path.suffix == ".glb":
        bpy.ops.import_scene.gltf(filepath=str(path))
    else:
        bpy.ops.wm.usd_import(filepath=str(path))
    found = {}
    rigs = [thing for thing in bpy.data.objects if thing.type == "ARMATURE"]
    for rig in rigs:
        name = rig.parent.name if rig.parent else rig.name
        rest = {bone.name: list(rig.matrix_world @ bone.head_local) for bone in rig.data.bones}
        found[name] = {"rest": rest, "parents": {b.name: b.parent and b.parent.name for b in rig.data.bones}, "at": {}}
    for frame in range(0, frames, 10):
        scene.frame_set(frame + first)
        for rig in rigs:
            name = rig.parent.name if rig.parent else rig.name
            found[name]["at"][frame] = {
                bone.name: list((rig.matrix_world @ bone.matrix).translation) for bone in rig.pose.bones
            }
    meshes = [thing.name for thing in bpy.data.objects if thing.type == "MESH" and thing.find_armature()]
    out.write_text(json.dumps({"rigs": found, "skinned": meshes}))


main()
