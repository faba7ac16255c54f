"""The application: from video frames to 3D motion, one room per stage."""
