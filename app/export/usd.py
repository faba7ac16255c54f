"""USD: everybody as a UsdSkel figure that moves, for Omniverse, Houdini, Maya, Blender and Unreal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from sasmamba.app.export.figure import SIDES, figure, rest_positions
from sasmamba.app.export.motion_table import R_YUP_WORLD, PersonMotion
from sasmamba.app.export.options import Footage
from sasmamba.app.export.rig_motion import RigMotion, quaternions, rig_motion
from sasmamba.app.export.rigs import rig_named
from sasmamba.app.motion.body import left_out
from sasmamba.app.render.palette import SIDE_COLORS
from sasmamba.common.errors import UserError
from sasmamba.common.files import atomic_path, disk_error


def write_usd(path: Path, people: list[PersonMotion], footage: Footage) -> None:
    """Writes everybody into one stage: metres, right-handed, y up, x right, z towards the camera, floor at y = 0.

    `/World/person_ID` is a SkelRoot with the skeleton (joints by the names and in the axes of `ExportOptions.rig`,
    bound in a T above the origin, facing +z), its animation and the figure. Time codes are the video's frames at its
    average rate, counted from its first frame; a variable rate gives codes between whole numbers, frames without a pose
    have no sample.

    Raises:
        UserError: usd-core is not installed, or the disk refuses.
    """
    try:
        from pxr import Gf, Kind, Sdf, Tf, Usd, UsdGeom, UsdShade
    except ImportError as error:
        raise UserError("USD needs the package usd-core: pip install 'sasmamba-demo[usd]'.") from error
    layer = Sdf.Layer.CreateAnonymous(".usdc")
    stage = Usd.Stage.Open(layer)
    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.y)
    UsdGeom.SetStageMetersPerUnit(stage, 1.0)
    stage.SetTimeCodesPerSecond(float(footage.fps))
    stage.SetFramesPerSecond(float(footage.fps))
    stage.SetStartTimeCode(0)
    stage.SetEndTimeCode(float((footage.times_s[-1] - footage.times_s[0]) * footage.fps))
    world = UsdGeom.Xform.Define(stage, "/World")
    Usd.ModelAPI(world).SetKind(Kind.Tokens.component)
    stage.SetDefaultPrim(world.GetPrim())
    for side in SIDES:
        material = UsdShade.Material.Define(stage, f"/World/materials/{side}")
        shader = UsdShade.Shader.Define(stage, f"/World/materials/{side}/surface")
        shader.CreateIdAttr("UsdPreviewSurface")
        color = [((c / 255 + 0.055) / 1.055) ** 2.4 for c in SIDE_COLORS[side][::-1]]
        shader.CreateInput("diffuseColor", Sdf.ValueTypeNames.Color3f).Set(Gf.Vec3f(*color))
        shader.CreateInput("roughness", Sdf.ValueTypeNames.Float).Set(0.6)
        material.CreateSurfaceOutput().ConnectToSource(shader.ConnectableAPI(), "surface")
    for person in people:
        known = np.flatnonzero(person.posed)
        moving = rig_motion(
            rig_named(footage.options.rig),
            person.points[known].astype(np.float64) @ R_YUP_WORLD.T,
            person.drawable(footage.options.keep_inferred)[known],
        )
        codes = (person.times_s[known] - footage.times_s[0]) * float(footage.fps)
        _add_person(stage, person.track_id, moving, codes, left_out(person.upper))
    with atomic_path(path) as temporary:
        # the layer is written under a name of its own kind, and moved
        named = temporary.with_name(temporary.name + ".usdc")
        try:
            try:
                layer.Export(str(named))
            except Tf.ErrorException as error:
                raise disk_error(str(error)) from error
            named.replace(temporary)
        finally:
            named.unlink(missing_ok=True)


def _add_person(stage: Any, track_id: int, motion: RigMotion, codes: np.ndarray, gone: np.ndarray) -> None:
    from pxr import Gf, Sdf, UsdGeom, UsdShade, UsdSkel, Vt

    at, place = rest_positions(motion), f"/World/person_{track_id}"
    rest, offsets, local = motion.in_own_axes()
    root = UsdSkel.Root.Define(stage, place)
    skeleton = UsdSkel.Skeleton.Define(stage, f"{place}/skeleton")
    animation = UsdSkel.Animation.Define(stage, f"{place}/motion")
    paths: list[str] = []
    for node in motion.nodes:
        name = node.name.replace(":", "_")
        paths.append(name if node.parent < 0 else f"{paths[node.parent]}/{name}")
    offsets[0] = at[0]

    def placed(turned: np.ndarray, places: np.ndarray) -> Any:
        matrices = np.tile(np.eye(4), (len(places), 1, 1))  # USD's vectors are rows
        matrices[:, :3, :3], matrices[:, 3, :3] = np.swapaxes(turned, -1, -2), places
        return Vt.Matrix4dArray([Gf.Matrix4d(*matrix.reshape(-1).tolist()) for matrix in matrices])

    skeleton.CreateJointsAttr(paths)
    skeleton.CreateBindTransformsAttr(placed(motion.axes(), at))
    skeleton.CreateRestTransformsAttr(placed(rest, offsets))
    animation.CreateJointsAttr(paths)
    turns = np.stack([quaternions(local[:, n]) for n in range(len(motion.nodes))], 1)
    places = np.repeat(offsets[None], len(codes), 0)
    places[:, 0] = motion.root
    scales = Vt.Vec3hArray([Gf.Vec3h(1, 1, 1)] * len(paths))
    rotations, translations = animation.CreateRotationsAttr(), animation.CreateTranslationsAttr()
    animation.CreateScalesAttr(scales)
    for code, q, p in zip(codes.tolist(), turns, places, strict=True):
        rotations.Set(Vt.QuatfArray([Gf.Quatf(w, x, y, z) for x, y, z, w in q.tolist()]), code)
        translations.Set(Vt.Vec3fArray.FromNumpy(p.astype(np.float32)), code)
    UsdSkel.BindingAPI.Apply(skeleton.GetPrim()).CreateAnimationSourceRel().SetTargets([animation.GetPath()])
    UsdSkel.BindingAPI.Apply(root.GetPrim())
    shape = figure(motion, gone)
    mesh = UsdGeom.Mesh.Define(stage, f"{place}/figure")
    faces = np.concatenate([shape.triangles[side] for side in SIDES])
    mesh.CreatePointsAttr(Vt.Vec3fArray.FromNumpy(shape.vertices.astype(np.float32)))
    mesh.CreateFaceVertexIndicesAttr(Vt.IntArray.FromNumpy(faces.reshape(-1).astype(np.int32)))
    mesh.CreateFaceVertexCountsAttr(Vt.IntArray([3] * len(faces)))
    mesh.CreateNormalsAttr(Vt.Vec3fArray.FromNumpy(shape.normals.astype(np.float32)))
    mesh.SetNormalsInterpolation(UsdGeom.Tokens.vertex)
    mesh.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
    mesh.CreateExtentAttr(UsdGeom.PointBased.ComputeExtent(mesh.GetPointsAttr().Get()))
    binding = UsdSkel.BindingAPI.Apply(mesh.GetPrim())
    binding.CreateSkeletonRel().SetTargets([skeleton.GetPath()])
    binding.CreateJointIndicesPrimvar(False, 1).Set(Vt.IntArray.FromNumpy(shape.bone.astype(np.int32)))
    binding.CreateJointWeightsPrimvar(False, 1).Set(Vt.FloatArray([1.0] * len(shape.bone)))
    binding.CreateGeomBindTransformAttr(Gf.Matrix4d(1))
    UsdShade.MaterialBindingAPI.Apply(mesh.GetPrim()).SetMaterialBindSubsetsFamilyType(UsdGeom.Tokens.partition)
    begin = 0
    for side in SIDES:
        count = len(shape.triangles[side])
        indices = Vt.IntArray(list(range(begin, begin + count)))
        begin += count
        subset = UsdGeom.Subset.CreateGeomSubset(mesh, side, UsdGeom.Tokens.face, indices, "materialBind")
        material = UsdShade.Material.Get(stage, Sdf.Path(f"/World/materials/{side}"))
        UsdShade.MaterialBindingAPI.Apply(subset.GetPrim()).Bind(material)
