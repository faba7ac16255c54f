"""GLB (glTF 2.0 in one file): everybody as a skinned figure that moves, for browsers, Blender and engines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.export.figure import SIDES, Figure, figure, rest_positions
from sasmamba.app.export.motion_table import FEET, JOINTS, R_YUP_WORLD, PersonMotion
from sasmamba.app.export.options import Footage
from sasmamba.app.export.rig_motion import RigMotion, quaternions, rig_motion
from sasmamba.app.export.rigs import rig_named
from sasmamba.app.motion.body import left_out
from sasmamba.app.motion.certainty import NAMES, Certainty
from sasmamba.app.render.palette import SIDE_COLORS
from sasmamba.common.errors import UserError
from sasmamba.common.files import atomic_path
from sasmamba.common.runs import runs

_FLOAT, _USHORT, _UINT = 5126, 5123, 5125
_ARRAY, _ELEMENTS = 34962, 34963


def write_glb(path: Path, people: list[PersonMotion], footage: Footage) -> None:
    """Writes everybody into one file: metres, right-handed, y up, x right, z towards the camera, floor at y = 0.

    Node `person_ID` holds a person's joints, by the names and in the axes of `ExportOptions.rig`; `figure_ID` is the
    figure that they carry, which at rest stands in a T above the origin, facing +z. Animation `motion` turns the joints
    and moves the root; its keys are the video's own frames, seconds from the video's first frame on, none where
    somebody has no pose; the person's `extras` say from when to when they are there, and of which joints when they are
    `inferred` or `unknown`: [from_s, to_s] by joint. A limb whose place is unknown holds the pose from before and
    after, and where there is none the rest pose.

    Raises:
        UserError: pygltflib is not installed, or the disk refuses.
    """
    try:
        import pygltflib as gltf
    except ImportError as error:
        raise UserError("GLB needs the package pygltflib: pip install 'sasmamba-demo[export]'.") from error
    file = gltf.GLTF2(asset=gltf.Asset(generator="sasmamba-demo"), scene=0, scenes=[gltf.Scene(nodes=[])])
    pool = _Pool(file)
    for side in SIDES:
        red, green, blue = (_linear(c / 255) for c in SIDE_COLORS[side][::-1])
        surface = gltf.PbrMetallicRoughness(
            baseColorFactor=[red, green, blue, 1], metallicFactor=0, roughnessFactor=0.6
        )
        file.materials.append(gltf.Material(name=side, pbrMetallicRoughness=surface))
    animation = gltf.Animation(name="motion")
    for person in people:
        known = np.flatnonzero(person.posed)
        moving = rig_motion(
            rig_named(footage.options.rig),
            person.points[known].astype(np.float64) @ R_YUP_WORLD.T,
            person.drawable(footage.options.keep_inferred)[known],
        )
        times = person.times_s[known] - footage.times_s[0]
        _add_person(pool, animation, person.track_id, moving, times, left_out(person.upper))
        file.nodes[file.scenes[0].nodes[-2]].extras |= _certainty(person, footage)
    if animation.channels:
        file.animations.append(animation)
    file.buffers.append(gltf.Buffer(byteLength=len(pool.data)))
    file.set_binary_blob(bytes(pool.data))
    with atomic_path(path) as temporary:
        temporary.write_bytes(b"".join(file.save_to_bytes()))


def _certainty(person: PersonMotion, footage: Footage) -> dict[str, dict[str, list[list[float]]]]:
    """When joints were not seen, in the times of the animation."""
    time, out = np.round(person.times_s - footage.times_s[0], 6), {}
    for state in (Certainty.INFERRED, Certainty.UNKNOWN):
        spans = {name: runs((person.states[:, j] == state) & person.posed) for j, name in enumerate((*JOINTS, *FEET))}
        out[NAMES[state]] = {
            name: [[float(time[a]), float(time[b - 1])] for a, b in own] for name, own in spans.items() if len(own)
        }
    return out


def _linear(c: float) -> float:
    """A colour's share in sRGB as glTF has it."""
    return c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4


class _Pool:
    """The file's numbers: everything goes into one buffer, each array with its accessor."""

    def __init__(self, file) -> None:  # type: ignore[no-untyped-def] # pygltflib is optional
        self.file, self.data = file, bytearray()

    def add(self, values: NDArray, kind: str, component: int, target: int | None = None, bounds: bool = False) -> int:
        """Index of the accessor of an array (count, ...)."""
        import pygltflib as gltf

        dtype = {_FLOAT: "<f4", _USHORT: "<u2", _UINT: "<u4"}[component]
        raw = np.ascontiguousarray(values, dtype)
        view = gltf.BufferView(buffer=0, byteOffset=len(self.data), byteLength=raw.nbytes, target=target)
        self.data += raw.tobytes() + b"\0" * (-raw.nbytes % 4)
        self.file.bufferViews.append(view)
        accessor = gltf.Accessor(
            bufferView=len(self.file.bufferViews) - 1, componentType=component, count=len(raw), type=kind
        )
        if bounds:
            flat = raw.reshape(len(raw), -1).astype(float)
            accessor.min, accessor.max = flat.min(0).tolist(), flat.max(0).tolist()
        self.file.accessors.append(accessor)
        return len(self.file.accessors) - 1


def _add_person(pool: _Pool, animation, track_id: int, motion: RigMotion, times: NDArray, gone: NDArray) -> None:  # type: ignore[no-untyped-def]
    import pygltflib as gltf

    file, at, axes = pool.file, rest_positions(motion), motion.axes()
    rest, offsets, local = motion.in_own_axes()
    first = len(file.nodes) + 1
    joints = [first + n for n in range(len(motion.nodes))]
    holder = gltf.Node(name=f"person_{track_id}", children=[first])
    holder.extras = {"track_id": track_id, "from_s": float(times[0]), "to_s": float(times[-1])}
    file.scenes[0].nodes += [first - 1, first + len(joints)]
    file.nodes.append(holder)
    for n, node in enumerate(motion.nodes):
        children = [joints[m] for m, other in enumerate(motion.nodes) if other.parent == n]
        place = at[n] if node.parent < 0 else offsets[n]
        turn = quaternions(rest[n : n + 1])[0].tolist()
        file.nodes.append(gltf.Node(name=node.name, translation=place.tolist(), rotation=turn, children=children))
    inverse = np.tile(np.eye(4), (len(joints), 1, 1))
    inverse[:, :3, :3] = np.swapaxes(axes, -1, -2)
    inverse[:, :3, 3] = -np.einsum("nji,nj->ni", axes, at)
    bind = pool.add(inverse.transpose(0, 2, 1).reshape(-1, 16), "MAT4", _FLOAT)
    skin = gltf.Skin(inverseBindMatrices=bind, joints=joints, skeleton=joints[0], name=f"person_{track_id}")
    file.skins.append(skin)
    file.meshes.append(_mesh(pool, figure(motion, gone), f"person_{track_id}"))
    # what a skin moves is where its joints are, wherever its own node is
    file.nodes.append(gltf.Node(name=f"figure_{track_id}", mesh=len(file.meshes) - 1, skin=len(file.skins) - 1))
    keys = pool.add(times, "SCALAR", _FLOAT, bounds=True)
    turns = {n: quaternions(local[:, n]) for n, node in enumerate(motion.nodes) if node.turn != "with parent"}
    tracks = [(joints[0], "translation", "VEC3", motion.root)]
    tracks += [(joints[n], "rotation", "VEC4", values) for n, values in turns.items()]
    for joint, what, kind, values in tracks:
        output = pool.add(values, kind, _FLOAT)
        animation.samplers.append(gltf.AnimationSampler(input=keys, output=output, interpolation="LINEAR"))
        target = gltf.AnimationChannelTarget(node=joint, path=what)
        animation.channels.append(gltf.AnimationChannel(sampler=len(animation.samplers) - 1, target=target))


def _mesh(pool: _Pool, shape: Figure, name: str):  # type: ignore[no-untyped-def]
    import pygltflib as gltf

    bones, weights = np.zeros((len(shape.bone), 4)), np.zeros((len(shape.bone), 4))
    bones[:, 0], weights[:, 0] = shape.bone, 1
    attributes = gltf.Attributes(
        POSITION=pool.add(shape.vertices, "VEC3", _FLOAT, _ARRAY, bounds=True),
        NORMAL=pool.add(shape.normals, "VEC3", _FLOAT, _ARRAY),
        JOINTS_0=pool.add(bones, "VEC4", _USHORT, _ARRAY),
        WEIGHTS_0=pool.add(weights, "VEC4", _FLOAT, _ARRAY),
    )
    primitives = [
        gltf.Primitive(
            attributes=attributes,
            indices=pool.add(shape.triangles[side].reshape(-1), "SCALAR", _UINT, _ELEMENTS),
            material=SIDES.index(side),
        )
        for side in SIDES
    ]
    return gltf.Mesh(name=name, primitives=primitives)
