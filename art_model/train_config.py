"""Everything about a training of ART+."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from art_model.cache_building import CacheConfig
from art_model.dataset import DataConfig
from art_model.noise import NoiseConfig
from art_model.objective import ClassWeights
from art_model.questions import QuestionConfig
from art_model.variants import VariantConfig

if TYPE_CHECKING:
    from typing import Self

_STRICT = ConfigDict(extra="forbid", strict=True, frozen=True)


class LoraConfig(BaseModel):
    """Low-rank adapters (Hu et al. 2021, arXiv 2106.09685) on the blocks' projections.

    Attributes:
        rank, alpha: an adapter's product counts alpha / rank times.
        head: also adapt the projections of tokens into and out of the model.
        quantize_base: the blocks' frozen matrices have 8 bits while adapters are trained, which takes half the memory;
            the model that comes out has the exact ones. Needs torchao, and is for one process.
    """

    model_config = _STRICT

    rank: int = Field(64, ge=1)
    alpha: int = Field(64, ge=1)
    head: bool = False
    quantize_base: bool = False


class OptimizerConfig(BaseModel):
    """How gradients move weights.

    Attributes:
        kind: ``adamw`` of torch; ``adamw8bit`` of torchao, whose state takes a quarter of the memory; ``prodigy`` of
            prodigyopt (arXiv 2306.06101), which finds its rate itself and wants rate 1.
        rate: the peak of the schedule.
        betas: decay of the averages of gradients and of their squares.
        weight_decay: decoupled.
        clip: largest norm of the gradient; null clips nothing.
    """

    model_config = _STRICT

    kind: Literal["adamw", "adamw8bit", "prodigy"] = "adamw"
    rate: float = Field(1e-4, gt=0)
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = Field(0.0, ge=0)
    clip: float | None = Field(1.0, gt=0)


class ScheduleConfig(BaseModel):
    """The rate over the steps: a linear rise, then one of three ways to go on.

    Attributes:
        kind: ``constant``; ``cosine`` down to 0 at the last step; ``linear`` down to 0 over the last `decay` share.
        warmup: steps of the rise.
        decay: share of the steps that ``linear`` decays over.
    """

    model_config = _STRICT

    kind: Literal["constant", "cosine", "linear"] = "constant"
    warmup: int = Field(0, ge=0)
    decay: float = Field(0.5, gt=0, le=1)


class ValidationConfig(BaseModel):
    """What is looked at while the training runs.

    Attributes:
        every: steps between looks; null never looks.
        split: of the same publication, never learnt from.
        designs: of that split, drawn evenly.
        times: of the held-out loss, before the shift.
        pictures: designs that are sampled from held-out prompts and boxes.
        steps, true_cfg: of the sampler; null takes the model's own.
    """

    model_config = _STRICT

    every: int | None = Field(500, ge=1)
    split: str = "val"
    designs: int = Field(64, ge=1)
    times: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field((0.1, 0.3, 0.5, 0.7, 0.9), min_length=1)
    pictures: int = Field(4, ge=0)
    steps: int | None = Field(None, ge=1)
    true_cfg: float | None = Field(None, ge=1)


class CheckpointConfig(BaseModel):
    """When the training is written down.

    Attributes:
        every: steps between checkpoints; one more is written at the end.
        keep: newest checkpoints that are kept, beside that of the least held-out loss.
    """

    model_config = _STRICT

    every: int = Field(500, ge=1)
    keep: int = Field(2, ge=1)


class LogConfig(BaseModel):
    """Where the curves go: always to TensorBoard, in the folder ``logs``.

    Attributes:
        every: steps between lines.
        wandb: project on Weights & Biases; null writes none.
        peak_tflops: of one device, for the model FLOPs utilisation where the device is not a known GPU.
    """

    model_config = _STRICT

    every: int = Field(10, ge=1)
    wandb: str | None = None
    peak_tflops: float | None = Field(None, gt=0)


class WorkersConfig(BaseModel):
    """Processes that train side by side, each on its own batches.

    Attributes:
        kind: ``ray`` starts them by Ray Train; ``inline`` trains in this process alone, without Ray.
        count: processes, one per GPU where `gpu` is set.
        gpu: each takes one GPU; otherwise they compute on CPUs.
        cpus: that Ray reserves for each.
        spread: each process holds a part of every weight, of its average and of the optimiser's state (FSDP2) instead
            of all of them; for method ``full``.
        address: of a running Ray cluster; null starts Ray on this machine.
    """

    model_config = _STRICT

    kind: Literal["ray", "inline"] = "ray"
    count: int = Field(1, ge=1)
    gpu: bool = False
    cpus: int = Field(1, ge=1)
    spread: bool = False
    address: str | None = None

    @model_validator(mode="after")
    def _is_one_inline(self) -> Self:
        if self.kind == "inline" and self.count > 1:
            raise ValueError(f"workers.kind inline is one process, not {self.count}: take ray")
        if self.spread and self.count == 1:
            raise ValueError("workers.spread divides a model among processes: give workers.count 2 or more")
        return self


class TrainConfig(BaseModel):
    """A training.

    Attributes:
        name: of the model that comes out.
        seed: all randomness derives from it.
        model: folder of the ART model to begin with, or ``layerprism-tiny``.
        out: folder for checkpoints, curves, pictures and, in its subfolder ``model``, what comes out. In a
            configuration file the path is relative to that file.
        method: ``lora`` trains adapters and the layer embedding, ``full`` all of the transformer.
        steps: updates of the weights.
        tokens: most tokens of one batch of one process, prompts included.
        accumulation: batches per step.
        ema: decay of the averaged weights, which are validated and exported; null averages nothing. The average
            begins fast: at step n the decay is at most (1 + n) / (10 + n).
        precision: of products; weights that are trained and their averages are float32.
        gradient_checkpointing: compute blocks again in the backward pass: less memory, a third more time.
        compile: compile the blocks with torch.compile.
        weights: of the classes of regions in the loss.
    """

    model_config = _STRICT

    name: str = Field("art-plus", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    seed: int = Field(0, ge=0, lt=2**63)
    model: str = "layerprism-tiny"
    out: str
    data: DataConfig
    cache: CacheConfig
    variants: VariantConfig = VariantConfig()
    questions: QuestionConfig = QuestionConfig()
    noise: NoiseConfig = NoiseConfig()
    weights: ClassWeights = ClassWeights()
    method: Literal["lora", "full"] = "lora"
    lora: LoraConfig = LoraConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    steps: int = Field(1000, ge=1)
    tokens: int = Field(4096, ge=1)
    accumulation: int = Field(1, ge=1)
    ema: float | None = Field(0.999, ge=0, lt=1)
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    gradient_checkpointing: bool = False
    compile: bool = False
    validation: ValidationConfig = ValidationConfig()
    checkpoints: CheckpointConfig = CheckpointConfig()
    log: LogConfig = LogConfig()
    workers: WorkersConfig = WorkersConfig()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.schedule.warmup > self.steps:
            raise ValueError(f"schedule.warmup {self.schedule.warmup} is above steps {self.steps}")
        if self.workers.spread and self.method != "full":
            raise ValueError("workers.spread is for method full: adapters are small, and so is what is kept of them")
        if self.lora.quantize_base and (self.method != "lora" or self.workers.count > 1):
            raise ValueError("lora.quantize_base is for method lora in one process: set it to false")
        if self.validation.every is not None and self.validation.split == self.data.split:
            raise ValueError(f"validation.split {self.validation.split!r} is what is learnt from: name another one")
        return self

    def of_weights(self) -> dict[str, object]:
        """The settings that the trained weights depend on: another value of one of them is another training."""
        left_out = {"name", "out", "cache", "validation", "checkpoints", "log", "compile", "gradient_checkpointing"}
        values: dict[str, object] = self.model_dump(mode="json", exclude=left_out)
        values["workers"] = self.workers.count
        data = self.data.model_dump(mode="json", exclude={"publication", "fingerprint"})  # contents are compared
        return values | {"data": data}
