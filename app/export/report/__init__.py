"""One self-contained page per clip: the render, the people in 3D to turn about, joint angles, and what to doubt."""
