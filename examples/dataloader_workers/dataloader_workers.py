"""A loop with a DataLoader of two workers, and a curve of every batch in TensorBoard.

    sweeps run sweep.yaml

A training script as people write it. What it logs by batch stays whole after a kill: the file is
cut where it stood at the checkpoint.
"""

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torch.utils.tensorboard import SummaryWriter


class Waves(Dataset):
    """Sine waves of some frequency, which is what is to be told."""

    def __len__(self):
        return 256

    def __getitem__(self, index):
        frequency = 1 + index % 8
        time = torch.linspace(0, 6.28, 64)
        return torch.sin(frequency * time + index), torch.tensor(float(frequency))


def train(config, *, report, log_dir, resume_from=None):
    torch.manual_seed(config["seed"])
    model = nn.Sequential(nn.Linear(64, config["width"]), nn.Tanh(), nn.Linear(config["width"], 1))
    optimizer = torch.optim.SGD(model.parameters(), config["lr"])
    begin = 0
    if resume_from:
        saved = torch.load(resume_from, weights_only=True)
        model.load_state_dict(saved["model"])
        begin = saved["epoch"] + 1
    loader = DataLoader(Waves(), batch_size=32, num_workers=2, persistent_workers=True)
    with SummaryWriter(log_dir) as writer:
        for epoch in range(begin, config["epochs"]):
            total = 0.0
            for number, (inputs, targets) in enumerate(loader):
                loss = F.mse_loss(model(inputs).squeeze(1), targets)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total += loss.item()
                writer.add_scalar("batch/loss", loss.item(), epoch * len(loader) + number)
            checkpoint = log_dir / f"epoch-{epoch:03d}.pt"
            torch.save({"model": model.state_dict(), "epoch": epoch}, checkpoint)
            report({"loss": total / len(loader)}, checkpoint=checkpoint)
