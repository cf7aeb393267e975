"""The names of defects: reasons of decisions, and what the filters' scores are about.

A name says one thing to everybody: the review page offers it with its definition, decision rows carry it in `reasons`,
the artifact classifier is trained on it, and `calibrate` tells with it what a threshold would have caught.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from layered.errors import UserError

Scope = Literal["layer", "whole", "both"]


@dataclass(frozen=True)
class Defect:
    """A way in which a picture can be bad.

    Attributes:
        name: in reasons, score names and file names; lower case, ``_`` between words.
        definition: one line that lets two curators decide alike.
        scope: whether a single layer has it, only the whole image can have it, or both.
    """

    name: str
    definition: str
    scope: Scope

    @property
    def of_layers(self) -> bool:
        return self.scope != "whole"

    @property
    def of_wholes(self) -> bool:
        return self.scope != "layer"


_DEFECTS: Final[tuple[tuple[str, Scope, str], ...]] = (
    # The object.
    ("empty", "layer", "Nothing, or next to nothing, is visible."),
    ("cut", "layer", "The object ends at the frame that it was drawn in: a part of it is missing."),
    ("several", "layer", "Several separate objects where the caption asks for one."),
    ("malformed", "layer", "The object's shape is broken: melted, doubled, torn, or with parts missing."),
    ("wrong_object", "layer", "The layer shows something else than its caption says."),
    ("lettering", "both", "Lettering is garbled: letters that are none, or not those asked for."),
    ("style", "both", "The look is not the one that was asked for."),
    # Its alpha.
    ("rectangle", "layer", "The layer is an opaque rectangle that was never freed from its background."),
    ("leftover", "layer", "Pieces, or a haze, of the background it was drawn on are left around the object."),
    ("halo", "layer", "A rim in the background's colour runs along the object's outline."),
    ("holes", "layer", "Holes are torn into the object where it should be solid."),
    ("specks", "layer", "Small separate spots lie around the object."),
    ("faint", "layer", "A solid object is see-through."),
    ("checkerboard", "both", "A painted checkerboard stands for transparency."),
    # How it is painted.
    ("blur", "both", "It is out of focus, or smeared."),
    ("noise", "both", "Grain, speckle or blotches lie over it."),
    ("seams", "both", "A straight join is visible, across which the picture is shifted or changes its light."),
    # How layers make a whole.
    ("hidden", "whole", "A layer is hidden behind others."),
    ("z_order", "whole", "Layers lie in the wrong order: what should be in front is behind."),
    ("layout", "whole", "Objects do not fill their boxes, or stand in the wrong places."),
    ("unreadable", "whole", "A text cannot be read against what lies under it."),
    ("disharmony", "whole", "Light, scale or style of the layers do not belong together."),
    ("missing", "whole", "Something that the caption names is not there."),
    ("recomposition", "whole", "The layers put together differ from the picture they belong to."),
    ("duplicate", "whole", "It is nearly the same as another sample."),
    # How it is received.
    ("ugly", "both", "Nothing is broken, but nobody would want it."),
    ("unsafe", "both", "It must not be published: violence, nudity, hatred, a real person."),
    ("other", "both", "Something that has no name here; the caption field or a note says what."),
)

DEFECTS: Final[Mapping[str, Defect]] = {name: Defect(name, definition, scope) for name, scope, definition in _DEFECTS}
"""Every defect by its name, in the order in which a reader should meet them."""


def check_reasons(reasons: Iterable[str], where: str) -> None:
    """Accepts names of defects only.

    Args:
        where: what the reasons were read from, for the message: a file, or a decision.

    Raises:
        UserError: for the first reason that is not a name of `DEFECTS`, with the nearest that is.
    """
    for reason in reasons:
        if reason not in DEFECTS:
            near = difflib.get_close_matches(reason, DEFECTS, n=1)
            advice = f"did you mean {near[0]!r}?" if near else f"valid here: {', '.join(DEFECTS)}"
            raise UserError(f"{where}: the reason {reason!r} is no name of a defect; {advice}")
