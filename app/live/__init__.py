"""Live mode: a camera, a stream or a file at its own pace in, 3D out while it happens, its delay measured."""
