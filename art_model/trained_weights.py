"""The weights that a training changes: where they are in the model, their average over time, and their files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from art_model.checkpoint import WEIGHTS_FILE, load_transformer, save_transformer
from art_model.lora import add_adapter, is_in_block, load_adapter, merge_adapter, save_adapter
from art_model.quantization import quantize_matrices
from art_model.sharding import gathered, own_part, spread, spread_like
from art_model.train_config import TrainConfig
from art_model.transformer import RegionTransformer
from layered.errors import UserError
from layered.seeds import derive_seed

ADAPTER_FOLDER = "adapter"
TRANSFORMER_FOLDER = "transformer"
AVERAGE_FILE = "average.safetensors"


class TrainedWeights:
    """Those of a transformer, all of them or adapters on it.

    Attributes:
        parameters: by name, float32; all else is frozen.
        average: their average over time, or None.
    """

    def __init__(
        self,
        transformer: RegionTransformer,
        config: TrainConfig,
        processes: int = 1,
        device: torch.device | None = None,
    ) -> None:
        """Prepares a transformer in place: freezes it and adds adapters, or makes all of it trainable, spread over the
        processes where the configuration says so.

        Args:
            device: of this process's part of what is spread.

        Raises:
            UserError: when peft, or torchao for a quantised base, is wanted and not installed.
        """
        self.transformer = transformer
        self._config = config
        self._stored_as = transformer.proj_out.weight.dtype
        self._adapter: Any = None
        if config.method == "lora":
            if config.precision == "float32":
                transformer.float()
            if config.lora.quantize_base:
                quantize_matrices(transformer, is_in_block)
            self._adapter = add_adapter(transformer, config.lora, derive_seed(config.seed, "", -1, 0, "adapters"))
        else:
            transformer.float().requires_grad_(True)
            if config.workers.spread:
                gathered_as = torch.bfloat16 if config.precision == "bfloat16" else torch.float32
                spread(transformer, processes, device or torch.device("cpu"), gathered_as)
        self.parameters: dict[str, nn.Parameter] = {
            name: parameter for name, parameter in transformer.named_parameters() if parameter.requires_grad
        }
        self._decay = config.ema
        self.average: dict[str, Tensor] | None = None
        if config.ema is not None:
            self.average = {name: parameter.detach().clone() for name, parameter in self.parameters.items()}

    @torch.no_grad()
    def update_average(self, step: int) -> None:
        """Takes the weights after a step, 0 the first, into the average."""
        if self.average is None or self._decay is None:
            return
        decay = min(self._decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(_parts(self.average), _parts(self.parameters), 1 - decay)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """The model with its averaged weights; afterwards it is what it was, bit for bit."""
        if self.average is None:
            yield
            return
        parameters = _parts(self.parameters)
        own = [parameter.clone() for parameter in parameters]
        try:
            torch._foreach_copy_(parameters, _parts(self.average))
            yield
        finally:
            torch._foreach_copy_(parameters, own)

    def save(self, folder: Path | None) -> None:
        """Writes the weights as peft or diffusers would, and their average beside them, all exact.

        Args:
            folder: None in all processes but one; where weights are spread, all of them must take part.
        """
        self._save_transformer(folder)
        if self._adapter is not None and folder:
            save_adapter(folder / ADAPTER_FOLDER, self._adapter)
        if self.average is not None:
            average = gathered(self.average, keep=folder is not None)
            if folder:
                save_file(average, folder / AVERAGE_FILE)

    def _save_transformer(self, folder: Path | None, dtype: torch.dtype | None = None) -> None:
        if self._adapter is None:
            weights = gathered(self.transformer.state_dict(), keep=folder is not None)
            if folder:
                save_transformer(folder / TRANSFORMER_FOLDER, self.transformer, dtype, weights)

    @torch.no_grad()
    def load(self, folder: Path) -> None:
        """Takes back what `save` wrote. Raises UserError when a file is missing, broken or does not fit."""
        try:
            if self._adapter is None:
                stored = load_file(folder / TRANSFORMER_FOLDER / WEIGHTS_FILE)
                there = self.transformer.state_dict()
                parts = {name: spread_like(weight, there.get(name, weight)) for name, weight in stored.items()}
                self.transformer.load_state_dict(parts)
            else:
                load_adapter(folder / ADAPTER_FOLDER, self._adapter)
            if self.average is not None:
                averages = load_file(folder / AVERAGE_FILE)
                for name, average in self.average.items():
                    own_part(average).copy_(own_part(spread_like(averages[name], average)))
        except (OSError, KeyError, RuntimeError, SafetensorError) as error:
            raise UserError(
                f"{folder} cannot be loaded ({' '.join(str(error).split())[:200]}): remove it, and the training goes "
                "on from the checkpoint before it"
            ) from error

    def export(self, folder: Path | None, base: Path | None = None) -> None:
        """Writes the averaged transformer as diffusers would, in the type it was stored in, and the adapters beside it.

        The training is over then: adapters are merged into the model in memory.

        Args:
            folder: as `save` takes it.
            base: folder of the transformer that the training began with; needed where that in memory is quantised.
        """
        with self.averaged():
            if self._adapter is None:
                self._save_transformer(folder, self._stored_as)
            elif folder:
                save_adapter(folder / ADAPTER_FOLDER, self._adapter)
                adapted = self._adapter if base is None else self._adapted(load_transformer(base), folder)
                save_transformer(folder / TRANSFORMER_FOLDER, merge_adapter(adapted), self._stored_as)

    def _adapted(self, transformer: RegionTransformer, folder: Path) -> Any:
        """Another transformer with the adapters of a folder."""
        if self._config.precision == "float32":
            transformer.float()
        adapter = add_adapter(transformer, self._config.lora, 0)
        load_adapter(folder / ADAPTER_FOLDER, adapter)
        return adapter


def _parts(tensors: Mapping[str, Tensor]) -> list[Tensor]:
    """What this process holds of each tensor."""
    return [own_part(tensor.detach()) for tensor in tensors.values()]
