"""Prints how many lines of each package the tests reached, from the data that `make coverage` collects; 1 if too few.

`python tools/coverage_table.py PART …` also prints the lines not reached in files whose path contains a PART.
"""

from __future__ import annotations

import sys
from pathlib import Path

import coverage

ROOT = Path(__file__).resolve().parents[1]


def main(shown: list[str]) -> int:
    measured = coverage.Coverage(config_file=str(ROOT / "pyproject.toml"))
    measured.load()
    if list((ROOT / "build/coverage").glob("data.*")):  # of processes that ended after the tests
        measured.combine()
    lines: dict[str, tuple[int, int]] = {}
    for file in sorted(measured.get_data().measured_files()):
        _, statements, _, missing, told = measured.analysis2(file)
        path = Path(file).relative_to(ROOT)
        package = ".".join(path.parent.parts)
        for name in (package, "all"):
            had = lines.get(name, (0, 0))
            lines[name] = had[0] + len(statements), had[1] + len(missing)
        if any(part in str(path) for part in shown):
            print(f"{path}: {len(missing)} of {len(statements)}: {told}")
    if not lines:
        sys.exit("There is no data in build/coverage: run `make coverage` first.")
    print(f"{'package':<20}{'lines':>7}{'not reached':>13}{'reached':>10}")
    for name, (count, missed) in sorted(lines.items(), key=lambda row: (row[0] == "all", row[0])):
        if count:
            print(f"{name:<20}{count:>7}{missed:>13}{1 - missed / count:>10.1%}")
    least = float(measured.get_option("report:fail_under") or 0)  # type: ignore[arg-type]
    count, missed = lines["all"]
    if 100 * (count - missed) < least * count:
        print(f"The tests reach less than {least:g} % of the lines.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
