"""The part of the page that lays two movements over each other; its script does the rest."""

from __future__ import annotations

from sasmamba.app.export.motion_table import PersonMotion
from sasmamba.app.export.report.markup import save_button, term

#: Whom a comparison is between, as the script calls them.
_SUBJECTS = (("a", "First (solid line)"), ("b", "Second (dashed line)"))


def comparison(people: list[PersonMotion]) -> str:
    """The form, or nothing where nobody is there."""
    if not people:
        return ""
    subjects = "".join(
        f'<fieldset class="subject" id="subject-{name}"><legend>{legend}</legend><div class="choices">'
        f'<label>Who <select id="who-{name}"></select></label><label>Side <select id="side-{name}">'
        '<option value="left">left</option><option value="right">right</option></select></label></div>'
        f'<div class="choices stretch" id="stretch-{name}"></div><p class="fine" id="found-{name}" role="status"></p>'
        "</fieldset>"
        for name, legend in _SUBJECTS
    )
    columns = "".join(
        f'<th scope="col" class="number">{head}</th>'
        for head in ("First: range", "Second: range", "Mean difference", "Greatest difference", "at")
    )
    return (
        '<section class="compare" aria-label="Compare"><h2>Compare</h2>'
        f"<p>Two people, two sides, or two takes, drawn over one {term('Cycle', 'cycle')} from 0 to 100 %.</p>"
        '<p class="choices"><label>Another take <input id="other" type="file" accept=".json,.html,.htm"></label></p>'
        '<p class="fine">A page like this one, or the file that <code>--export json</code> writes. It is read here and '
        "goes nowhere.</p>"
        '<p class="note" id="other-note" role="status" hidden></p>'
        f'<p class="choices"><label>One {term("Cycle", "cycle")} is <select id="cycle"><option value="contact">from a '
        'foot’s coming down to its next</option><option value="stretch">the time marked below</option></select>'
        f'</label></p><div class="subjects">{subjects}</div>'
        '<div id="compared" hidden><div class="plots" id="compared-plots"></div>'
        '<div class="table" role="region" aria-label="The two compared, in degrees" tabindex="0"><table>'
        f'<thead><tr><th scope="col">Angle</th>{columns}</tr></thead><tbody id="compared-rows"></tbody></table></div>'
        '<p class="fine">Differences are second less first. Bands: one '
        f"{term('Standard deviation', 'standard deviation')} of single cycles.</p>"
        f'<p class="choices">{save_button("comparison", "the curves")}</p></div></section>'
    )
