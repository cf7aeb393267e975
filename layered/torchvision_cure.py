"""Makes `import torchvision` work beside a CPU build of torch.

The registry's torchvision wheel is linked against CUDA. Beside a CPU torch its extension does not load, its operators
are never declared, and the import dies with ``operator torchvision::nms does not exist``; open_clip, timm and the CLIP
classes of transformers and diffusers die with it. Declaring the two schemas is enough for the import; nothing here
calls the operators.
"""

import functools
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_keep_alive: list[Any] = []  # a torch Library withdraws its schemas when it is collected


@functools.cache
def ensure_torchvision() -> None:
    """Declares torchvision's operators when its compiled part cannot be loaded; harmless otherwise.

    Call it before anything imports torchvision, open_clip, timm, transformers or diffusers, in every process.
    """
    import torch

    library_of: Any = torch.library.Library
    load_library: Any = torch.ops.load_library

    spec = find_spec("torchvision")
    if spec is None or spec.origin is None:
        return
    for library in sorted(Path(spec.origin).parent.glob("_C*.so")):
        try:
            load_library(str(library))
        except OSError:
            schemas = library_of("torchvision", "DEF")
            schemas.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            schemas.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            _keep_alive.append(schemas)
            return
