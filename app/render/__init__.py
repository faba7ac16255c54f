"""The picture: the video with skeletons on the left, the people in 3D on the right."""
