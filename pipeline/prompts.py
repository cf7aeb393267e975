"""From captions to prompts, and from boxes to generation sizes."""

import functools
import math
import re
from collections.abc import Sequence

from layered.arrays import Size
from layered.errors import UserError
from stages.layer_flux import ResolvedLayerFlux


def layer_prompt(caption: str, style: str, settings: ResolvedLayerFlux) -> str:
    """The whole prompt of one layer: its caption, its style, and the suffix that asks for a flat background."""
    return fill_template(settings.prompt_template, caption=caption, style=style, suffix=settings.suffix)


def base_prompt(caption: str, style: str, settings: ResolvedLayerFlux) -> str:
    """The whole prompt of a base image: no suffix, since it fills its frame."""
    return fill_template(settings.base_prompt_template, caption=caption, style=style)


def fill_template(template: str, **parts: str) -> str:
    """`template` with its ``{names}`` replaced; a clause between commas that names an empty part is left out.

    Raises:
        UserError: when the template names something else, or is not a template.
    """
    clauses = [clause for clause, names in _clauses(template) if not any(parts.get(name) == "" for name in names)]
    try:
        return ", ".join(clauses).format_map(parts)
    except (KeyError, ValueError, IndexError) as error:
        known = ", ".join(f"{{{name}}}" for name in parts)
        raise UserError(f"the prompt template {template!r} is wrong at {error}: it may hold {known}") from error


@functools.cache
def _clauses(template: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The clauses between commas, and the parts that each names."""
    return tuple((clause, tuple(re.findall(r"{(\w+)}", clause))) for clause in template.split(", "))


def nearest_size(wanted: Size, sizes: Sequence[Size]) -> Size:
    """The generation size whose aspect is nearest to that of `wanted`, by the logarithm; of equals the first."""
    aspect = math.log(wanted[0] / wanted[1])
    return min(sizes, key=lambda size: abs(math.log(size[0] / size[1]) - aspect))
