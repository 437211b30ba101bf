"""Whose terms hold for the images of a source; said in the card of every data set built of it."""

from collections.abc import Mapping

LICENCES: Mapping[str, str] = {
    "fakeclue": (
        "FakeClue (lingcco/FakeClue): tagged Apache-2.0, but made of GenImage (CC BY-NC-SA 4.0), "
        "FaceForensics++ (its own form) and Chameleon (academic use only): non-commercial research."
    ),
    "genimage": (
        "GenImage: CC BY-NC-SA 4.0 and its further terms (non-commercial, no selling of data or "
        "what is derived from it); its photographs are ImageNet's, under ImageNet's terms."
    ),
    "chameleon": "Chameleon (AIDE): academic research only, on request; not to be passed on.",
    "loki": "LOKI (bczhou/LOKI): tagged Apache-2.0; images of third parties.",
    "community_forensics": (
        "Community Forensics: CC BY 4.0 for research only (Small: CC BY-NC-SA 4.0), and each "
        "generator's own licence."
    ),
    "ivy_fake": "Ivy-Fake: tagged Apache-2.0, badge CC BY-SA 4.0; images of third parties.",
}
UNKNOWN = "{name}: not known to this project; the terms of whoever gave the images hold."


def licence_of(name: str) -> str:
    """Return the line of a card for a source."""
    return LICENCES.get(name, UNKNOWN.format(name=name))
