"""issue.json: the one issue that says how the nights are, for whoever publishes it."""

from ci.trend.document import facts, failing_head, failing_line, verdict
from ci.trend.nights import Nights

MARKER = "<!-- mimickit-nightly -->"  # by which the issue is found again
LABELS = ("nightly",)
LIMIT_BYTES = 60_000  # GitHub takes 65,536 characters and refuses a longer body
NOTICE_BYTES = 300  # kept for saying what was left out


def issue(nights: Nights) -> dict[str, object]:
    """Title, body, state and labels. Open with the failing cases, closed when nothing fails."""
    troubles = nights.troubles()
    lines = [MARKER, "", f"Night {nights.night}: {verdict(nights)}.", "", *facts(nights), ""]
    if troubles:
        lines += failing_head(nights)
        room = LIMIT_BYTES - NOTICE_BYTES - _size(lines)
        for left, trouble in zip(range(len(troubles), 0, -1), troubles, strict=True):
            line = failing_line(trouble)
            room -= _size([line])
            if room < 0:
                lines += ["", f"{left} more: no room here; see the summary of the run."]
                break
            lines.append(line)
    return {
        "title": f"Nightly run: {verdict(nights)}",
        "body": "\n".join(lines) + "\n",
        "state": "open" if troubles else "closed",
        "labels": list(LABELS),
    }


def _size(lines: list[str]) -> int:
    return sum(len(line.encode()) + 1 for line in lines)
