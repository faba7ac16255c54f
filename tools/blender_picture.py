"""Three moments of a GLB of --export glb, as Blender renders them side by side: the picture of the animator's guide.

pip install bpy                 # Blender as a package, in an environment of its own
python tools/blender_picture.py video_3d.glb animator.webp
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import bpy
import numpy as np
from mathutils import Vector

#: Pixels of one moment.
WIDTH, HEIGHT = 320, 300
#: The moments, as parts of the clip.
PARTS = (0.08, 0.42, 0.66)


def stage(people: list[bpy.types.Object]) -> None:
    """Floor, sun and a camera in front of everybody."""
    scene = bpy.context.scene
    corners = []
    for frame in range(scene.frame_start, scene.frame_end + 1, 5):
        scene.frame_set(frame)
        corners += [rig.matrix_world @ bone.head for rig in people for bone in rig.pose.bones]
    low, high = np.min(corners, 0), np.max(corners, 0)
    middle = Vector((low + high) / 2)
    bpy.ops.mesh.primitive_plane_add(size=200, location=(*middle[:2], 0))
    ground = bpy.data.materials.new("ground")
    ground.use_nodes = True
    ground.node_tree.nodes["Principled BSDF"].inputs["Base Color"].default_value = (0.18, 0.2, 0.22, 1)
    bpy.context.object.data.materials.append(ground)
    bpy.ops.object.light_add(type="SUN", rotation=(0.7, 0.2, 0.5))
    bpy.context.object.data.energy = 2.0
    scene.world = bpy.data.worlds.new("sky")
    scene.world.use_nodes = True
    scene.world.node_tree.nodes["Background"].inputs[0].default_value = (0.25, 0.3, 0.35, 1)
    # Blender looks along +y from where the video's camera stood; its lens sees 0.64 m in 1 m at this shape of picture
    far = 0.95 * max(high[0] - low[0], high[2]) / 0.64
    bpy.ops.object.camera_add(location=(middle[0], middle[1] - far, middle[2] + 0.2 * far))
    camera = bpy.context.object
    camera.rotation_euler = (middle - camera.location).to_track_quat("-Z", "Y").to_euler()
    scene.camera = camera


def main() -> None:
    """Renders the file that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("glb", type=Path)
    parser.add_argument("out", type=Path, help=".webp or .png")
    arguments = parser.parse_args()
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.preferences.addon_enable(module="cycles")
    scene = bpy.context.scene
    scene.render.fps = 30
    bpy.ops.import_scene.gltf(filepath=str(arguments.glb))
    people = [thing for thing in bpy.data.objects if thing.type == "ARMATURE"]
    scene.frame_start = 0
    scene.frame_end = int(max(action.frame_range[1] for action in bpy.data.actions))
    stage(people)
    scene.render.engine = "CYCLES"
    scene.cycles.samples = 24
    scene.render.resolution_x, scene.render.resolution_y = WIDTH, HEIGHT
    scene.view_settings.view_transform = "Standard"
    with tempfile.TemporaryDirectory() as folder:
        row = []
        for part in PARTS:
            scene.frame_set(round(part * scene.frame_end))
            scene.render.filepath = str(Path(folder) / f"{part}.png")
            bpy.ops.render.render(write_still=True)
            image = bpy.data.images.load(scene.render.filepath)
            row.append(np.array(image.pixels).reshape(HEIGHT, WIDTH, 4))
        whole = bpy.data.images.new("row", WIDTH * len(row), HEIGHT)
        whole.pixels = np.hstack(row).ravel()
        whole.file_format = {".webp": "WEBP", ".png": "PNG"}[arguments.out.suffix]
        whole.filepath_raw = str(arguments.out.resolve())
        whole.save(quality=80)


main()
