"""Pictures in and out: video files, cameras and streams; mp4 and gif."""
