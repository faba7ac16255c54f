"""A folder of videos to a folder of renders and poses, two at the same time.

    python examples/batch.py VIDEOS RENDERS

Run it again after a crash or a power cut: it goes on where it was.
"""

import sys

import sasmamba


def main(videos: str, renders: str) -> None:
    report = sasmamba.render_folder(videos, renders, jobs=2, save_poses=True, height=360)
    for video in report.clips:
        print(f"{video.clip.name}: {video.state} {video.error}".rstrip())
    if report.stopped:
        sys.exit(report.stopped)


if __name__ == "__main__":  # each video is done in a process of its own, which reads this file again
    main(*sys.argv[1:])
