"""A Lightning module as it is: its own Trainer, TensorBoardLogger and ModelCheckpoint.

    pip install "sweepboard[lightning]"
    sweeps run sweep.yaml

The one thing added is the call of `report`, with the checkpoint that Lightning has just written:
from there a trial goes on after a kill.
"""

from pathlib import Path

import lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset


class Classifier(lightning.LightningModule):
    """Tells two clouds of points apart."""

    def __init__(self, width, lr):
        super().__init__()
        self.save_hyperparameters()
        self.layers = nn.Sequential(nn.Linear(8, width), nn.ReLU(), nn.Linear(width, 2))

    def training_step(self, batch, index):
        inputs, targets = batch
        loss = F.cross_entropy(self.layers(inputs), targets)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, index):
        inputs, targets = batch
        outputs = self.layers(inputs)
        self.log("val_loss", F.cross_entropy(outputs, targets))
        self.log("val_accuracy", (outputs.argmax(1) == targets).float().mean())

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), self.hparams.lr)


class Reporting(ModelCheckpoint):
    """Saves as ever, then reports what Lightning has logged."""

    def __init__(self, report, folder):
        super().__init__(dirpath=folder, filename="{epoch}")
        self.report = report

    def on_train_epoch_end(self, trainer, module):
        super().on_train_epoch_end(trainer, module)
        self.report(trainer.callback_metrics, checkpoint=Path(self.best_model_path))


def loaders():
    generator = torch.Generator().manual_seed(0)
    targets = torch.arange(600) % 2
    inputs = torch.randn(600, 8, generator=generator) + targets[:, None]
    data = TensorDataset(inputs, targets)
    train, validation = torch.utils.data.Subset(data, range(500)), data[500:]
    return DataLoader(train, batch_size=50), DataLoader(TensorDataset(*validation), batch_size=100)


def train(config, *, report, log_dir, resume_from=None):
    lightning.seed_everything(config["seed"], verbose=False)
    trainer = lightning.Trainer(
        max_epochs=config["epochs"],
        logger=TensorBoardLogger(log_dir),
        callbacks=[Reporting(report, log_dir / "lightning")],
        enable_progress_bar=False,
        log_every_n_steps=5,
    )
    trainer.fit(Classifier(config["width"], config["lr"]), *loaders(), ckpt_path=resume_from)
