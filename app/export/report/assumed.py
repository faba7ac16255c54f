"""What was taken for granted to place people in the world, in plain words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sasmamba.app.motion.measure import figure
from sasmamba.app.motion.placing import Placement
from sasmamba.app.take import Take


def assumed(take: Take, placement: Placement) -> dict[str, str]:
    """The placement's assumptions as rows of text, whatever they are, and how feet stand."""
    told: Mapping[str, tuple[str, Callable[[Any], str]]] = {
        "camera": ("Camera", _camera),
        "people": ("Body height", _people),
        "upright": ("Which way is up", str),
        "shots": ("Camera's place", lambda shots: _shots(take, shots)),
        "bones": ("Bones", str),
        "feet": ("Feet", str),
    }
    rows = {}
    for name, value in placement.assumptions.items():
        head, words = told.get(name, (name.capitalize().replace("_", " "), str))
        if text := words(value):
            rows[head] = text
    before, after = placement.before, placement.after
    rows["Feet on the ground"] = (
        f"in {after.planted:.0%} of the frames; there they slide by {after.skate_cm_s:.1f} cm/s "
        f"({before.skate_cm_s:.1f} cm/s before they were held)"
    )
    return rows


def _camera(camera: Mapping[str, Any]) -> str:
    lens = (
        f"lens as given (focal length {camera['fx_px']:.0f} px, field of view {camera['fov_deg']:.0f}°)"
        if camera["given"]
        else f"lens unknown; taken to see {camera['fov_deg']:.0f}° across the picture's longer side"
    )
    return lens + ("; turns or zooms" if camera["moves"] else "; stands still")


def _people(people: Mapping[str, Mapping[str, Any]]) -> str:
    """Everybody's height, those together that were found in the same way."""
    ways: dict[str, list[str]] = {}
    for name, person in people.items():
        source = "as given" if person["given"] else "estimated, about an average adult's"
        if "by_floor" in person:
            source = "estimated, by the floor that they share with others"
        guess = "; where they stand is a guess" if "place" in person else ""
        ways.setdefault(source + guess, []).append(f"person {name} {person['height_m']:.2f} m")
    return "; ".join(f"{', '.join(who)} ({way})" for way, who in ways.items())


def _shots(take: Take, shots: list[Mapping[str, Any]]) -> str:
    def one(shot: Mapping[str, Any]) -> str:
        pitch, roll, unsure = shot["pitch_deg"], shot["roll_deg"], shot["upright_uncertainty_deg"]
        when = f"from {float(take.times_s[shot['first_frame']]):.2f} s: " if len(shots) > 1 else ""
        looks = f"looks {'down' if pitch >= 0 else 'up'} by {figure(abs(pitch), 1)}°"
        leans = f"leans to the {'left' if roll >= 0 else 'right'} by {figure(abs(roll), 1)}°"
        return f"{when}{shot['height_m']:.2f} m above the floor, {looks}, {leans} (upright is known to ± {unsure:.1f}°)"

    return "; ".join(map(one, shots))
