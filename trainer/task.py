"""Any model, with its data and its loss, as something that can be swept.

    from trainer import Task, Tensors

    task = Task(model=build, data=load, loss="cross_entropy", metrics={"accuracy": "accuracy"})

A sweep names it as ``train: mine:task``; ``python -m trainer mine:task lr=0.01`` runs it alone. It
offers what lets a bad sweep be refused before it starts, and trains several configurations as one
array where their models are alike, which it finds out by itself. Importing this imports no torch.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from trainer.config import SPEED, Report, Settings, print_metrics
from trainer.reading import Reading, Recall

Config = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """What is trained, on what, and what for.

    The functions get the whole configuration: the task's own parameters, and those of
    :class:`trainer.Settings` with their defaults.

    Args:
        model: builds the ``nn.Module``; its weights are drawn under the configuration's seed.
        data: gives :class:`trainer.Tensors` or :class:`trainer.Datasets`. It is called once for
            all configurations that look alike to it, also before a sweep is planned.
        loss: of a batch's outputs and targets, the mean; or a name in ``torch.nn.functional``.
        metrics: by name, functions of outputs and targets that are averaged over the examples:
            a number for each, or the mean of the batch; or ``"accuracy"``.
        counts: the same, summed.
        optimizer: of the model's parameters and the configuration, in place of adam, adamw, sgd.
        schedule: of the epochs that have passed, with fractions, and the configuration: what the
            learning rate is multiplied by, in place of the parameter ``schedule``.
        step: of the model, inputs, targets and configuration: the loss and the outputs, where a
            loss needs more than outputs and targets. Such a task trains without arrays.
        augment: of the inputs of a training batch: other inputs. Draws from torch's generator.
        config: declares the task's own parameters, as a subclass of :class:`trainer.Settings`;
            else they are what the functions read.
        verify: raises ``ValueError`` for a configuration that cannot work.
        fetch: of all configurations of a sweep: brings data into place, once, before anything runs.
            As ``data`` cannot be called before, it needs ``data_keys``.
        version: of a configuration: text that identifies its data, the same on every machine.
        classes: the names of the classes, or a function of the configuration that gives them: what
            is mistaken for what is then written to ``examination.json`` after the last epoch, and
            shown in TensorBoard. The outputs are a score for each.
        rehearse: whether a batch is tried before a sweep starts.
        model_keys, data_keys: the parameters that ``model`` and ``data`` read. Given, a sweep is
            planned without calling them.
        neutral: parameters that do not change a result, such as a path.
        unit: what is counted by the speed: ``<unit>_per_second``.
    """

    model: Callable[[Config], Any]
    data: Callable[[Config], Any]
    loss: Callable[..., Any] | str = "cross_entropy"
    metrics: Mapping[str, Callable[..., Any] | str] = field(default_factory=dict)
    counts: Mapping[str, Callable[..., Any] | str] = field(default_factory=dict)
    optimizer: Callable[[Iterable[Any], Config], Any] | None = None
    schedule: Callable[[float, Config], float] | None = None
    step: Callable[[Any, Any, Any, Config], tuple[Any, Any]] | None = None
    augment: Callable[[Any], Any] | None = None
    config: type[Settings] = Settings
    verify: Callable[[Config], None] | None = None
    fetch: Callable[[Sequence[Config]], None] | None = None
    version: Callable[[Config], str] | None = None
    classes: Sequence[str] | Callable[[Config], Sequence[str]] = ()
    rehearse: bool = True
    model_keys: Sequence[str] | None = None
    data_keys: Sequence[str] | None = None
    neutral: Sequence[str] = ()
    unit: str = "examples"

    def __post_init__(self) -> None:
        if self.fetch and self.data_keys is None:
            raise ValueError("Task: fetch needs data_keys, the parameters that data reads")

    BUDGET = "epochs"
    """A run that has ended goes on from its checkpoint where this is raised."""

    CHANGEABLE = (
        *("lr", "weight_decay", "momentum", "beta1", "beta2", "clip", "label_smoothing"),
        *("batch_size", "shuffle", "gamma"),
    )
    """What a run may be told otherwise than the one whose checkpoint it goes on from."""

    WRITES_EVENTS = True
    """All that TensorBoard shows of a run is written here, the HParams row included."""

    STAYS_WARM = True
    """A run leaves nothing behind in its process, which may train the next one."""

    def __call__(
        self,
        config: Config,
        *,
        report: Report = print_metrics,
        log_dir: Path | None = None,
        resume_from: Path | None = None,
    ) -> None:
        """Train one model; report metrics and a checkpoint after every epoch.

        Args:
            config: parameters; what is missing takes its default.
            report: called once per epoch as ``report(metrics, checkpoint=path)`` with every key
                of :meth:`metrics_of`. Without a ``log_dir`` the checkpoint is ``None``.
            log_dir: folder for TensorBoard's event file and the checkpoints; created. Without one,
                nothing is written.
            resume_from: a checkpoint reported earlier for the same config; training goes on with
                the epoch after it, to the same bits (on CPU) as if it had never stopped.

        Raises:
            pydantic.ValidationError: the config is not valid.
            trainer.checkpoint.CheckpointError: ``resume_from`` cannot be read or does not fit.
        """
        from trainer.loop import run  # imports torch

        run(self.setup(config), report=report, log_dir=log_dir, resume_from=resume_from)

    def train_many(
        self,
        configs: Sequence[Config],
        *,
        reports: Sequence[Report],
        log_dirs: Sequence[Path | None] | None = None,
        resume_from: Sequence[Path | None] | None = None,
    ) -> list[Exception | None]:
        """Train several models as one array: each as alone, up to rounding, but faster.

        Args:
            configs: of one :meth:`fuse_key`.
            reports: one per config. A report that raises ends its own member; the others go on.
            log_dirs: one per config.
            resume_from: one per config; a checkpoint may come from a run alone or from an array.

        Returns:
            For each config what ended it early, or ``None``.

        Raises:
            trainer.fused.CannotFuse: the configs cannot be trained as one array.
        """
        from trainer.array import run_array  # imports torch
        from trainer.fused import CannotFuse

        if len(keys := {self.fuse_key(config) for config in configs}) > 1:
            raise CannotFuse(f"the configs differ in what must agree: {'; '.join(sorted(keys))}")
        nothing: list[Path | None] = [None] * len(configs)
        return run_array(
            [self.setup(config) for config in configs],
            reports=reports,
            log_dirs=log_dirs or nothing,
            resume_from=resume_from or nothing,
        )

    def setup(self, config: Config) -> "Setup":
        """A configuration with its defaults; raises ``ValidationError`` if it is not valid."""
        fields = self.config.model_fields
        own = {"optimizer"} if self.optimizer else set()
        given = config
        if self.config is Settings:  # the task's own parameters are whatever its functions read
            given = {k: v for k, v in config.items() if k in fields and k not in own}
        settings = self.config.model_validate(given)
        whole = {**settings.model_dump(exclude=own), **config}
        classes = self.classes(whole) if callable(self.classes) else self.classes
        shown = {name: whole[name] for name in (*config, "seed")}
        return Setup(self, settings, whole, shown, tuple(classes))

    def check(self, config: Config) -> None:
        """Raise an error with the reason if a configuration cannot be trained.

        Raises:
            pydantic.ValidationError: a parameter breaks its rule, is unknown or is missing.
            ValueError: they do not go together.
        """
        from trainer.checks import check

        check(self.setup(config))

    def prepare(self, configs: Iterable[Config]) -> None:
        """Bring the data of these configurations into place, and try a batch of each kind.

        Raises:
            ValueError: the data are missing or too few, or the model does not take them.
        """
        from trainer.checks import rehearse

        configs = list(configs)
        setups = [self.setup(config) for config in configs]
        for setup in setups:
            if self.verify:
                self.verify(setup.config)
        if self.fetch:
            self.fetch([setup.config for setup in setups])
        if self.rehearse:
            rehearse(setups)

    def fuse_key(self, config: Config) -> str:
        """What configurations must agree in to be trained as one array.

        Raises:
            ValueError: this one trains alone, for the reason told.
        """
        from trainer.sharing import agreement

        return " ".join(f"{k}={v}" for k, v in agreement(self.setup(config)).items())

    def why_apart(self, one: Config, other: Config) -> str | None:
        """Why two configurations cannot train in one array; ``None`` if they can."""
        from trainer.sharing import why_apart

        return why_apart(self.setup(one), self.setup(other))

    def data_version(self, config: Config) -> str:
        """Text that identifies the data, the same on every machine."""
        from trainer.checks import fingerprint

        setup = self.setup(config)
        return self.version(setup.config) if self.version else fingerprint(setup)

    def metrics_of(self, config: Config) -> tuple[str, ...]:
        """Every metric that is reported after each epoch, by its name in TensorBoard."""
        setup = self.setup(config)
        brought = not self.fetch and self.load(setup.config).validation is not None
        validation = ("validation",) if setup.settings.validation or brought else ()
        return self._names("train", "test", *validation)

    @property
    def METRICS(self) -> tuple[str, ...]:  # noqa: N802  # the name that a module would offer
        """Those that are always reported."""
        return self._names("train", "test")

    @property
    def NEUTRAL(self) -> tuple[str, ...]:  # noqa: N802
        """What does not change a result."""
        return tuple(self.neutral)

    def extends(self, config: Config) -> bool:
        """Whether training longer goes on from where it ended; not if lr falls over all epochs."""
        from trainer.schedules import OVER_ALL

        return self.schedule is None and self.setup(config).settings.schedule not in OVER_ALL

    def keys(self, config: Config) -> list[str]:
        """The parameters that a configuration may have."""
        from trainer.checks import known

        declared = list(self.config.model_fields)
        return declared if self.config is not Settings else known(self.setup(config))

    def _names(self, *splits: str) -> tuple[str, ...]:
        names = ("loss", *self.metrics, *self.counts)
        return (*(f"{name}/{split}" for name in names for split in splits), self.unit + SPEED)

    @cached_property
    def load(self) -> Recall[Any]:
        """The data of a configuration; the last two are kept."""
        return Recall(self.data, "data", self.data_keys, keep=2)

    @cached_property
    def optimizer_kind(self) -> Recall[str]:
        """The class of the task's own optimizer, seen on the parameters of a small layer."""
        from trainer.sharing import kind_of  # imports torch

        return Recall(kind_of(self.optimizer, self.model), "optimizer")

    @cached_property
    def build(self) -> Callable[[Config], Any]:
        """The model of a configuration, on torch's default device."""
        return lambda config: self.model(Reading(config, "model"))

    @cached_property
    def shape(self) -> Recall[str]:
        """The structure of a configuration's model, built without memory for its weights."""
        from trainer.sharing import structure_of  # imports torch

        return Recall(structure_of(self.model), "model", self.model_keys)


@dataclass(frozen=True)
class Setup:
    """A task and one configuration, with defaults; ``shown`` is what the user has set."""

    task: Task
    settings: Settings
    config: Config
    shown: Config
    classes: tuple[str, ...] = ()
