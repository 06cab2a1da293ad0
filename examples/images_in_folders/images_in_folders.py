"""A folder for each class, augmented as it is read: the way most image sets lie on a disk.

    python -m trainer images_in_folders:task lr=0.01    # one run
    sweeps run sweep.yaml

The pictures are read by torchvision's ImageFolder, in DataLoader workers if asked. Here they are
drawn first: circles, squares and triangles, 32 x 32, in ./images. Point `folder` at your own:

    images/train/<class>/*.png    images/test/<class>/*.png
"""

import random
from pathlib import Path

import torch
from PIL import Image, ImageDraw
from torch import nn
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from trainer import Datasets, Task

CLASSES = ("circle", "square", "triangle")
COUNTS = {"train": 200, "test": 60}  # of each class

TESTED = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
TRAINED = v2.Compose(
    [
        v2.ToImage(),
        v2.RandomHorizontalFlip(),
        v2.RandomAffine(degrees=15, translate=(0.1, 0.1)),
        v2.ColorJitter(brightness=0.3, contrast=0.3),
        v2.ToDtype(torch.float32, scale=True),
    ]
)


class Net(nn.Module):
    def __init__(self, width, dropout):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, width, 3, stride=2, padding=1), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, width, 3, stride=2, padding=1), nn.BatchNorm2d(width), nn.ReLU(),
        )  # fmt: skip
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(width, len(CLASSES))

    def forward(self, images):
        """(N, 3, 32, 32) to scores (N, 3)."""
        return self.out(self.dropout(self.features(images).mean(dim=(2, 3))))


def model(config):
    return Net(config["width"], config.get("dropout", 0.0))


def data(config):
    folder = Path(config.get("folder", "images"))
    return Datasets(
        train=ImageFolder(str(folder / "train"), transform=TRAINED),
        test=ImageFolder(str(folder / "test"), transform=TESTED),
        workers=config.get("workers", 0),
        one_order=True,  # each picture is read once for all trials of an array
    )


def fetch(configs):
    """Draw the pictures of every folder that is not there yet."""
    for folder in {Path(config.get("folder", "images")) for config in configs}:
        if not folder.exists():
            draw_all(folder)


def draw_all(folder):
    chance = random.Random(0)
    for split, count in COUNTS.items():
        for kind in CLASSES:
            (folder / split / kind).mkdir(parents=True)
            for number in range(count):
                draw(kind, chance).save(folder / split / kind / f"{number:03}.png")


def draw(kind, chance):
    """One picture: a shape of any size, place and colour, on another colour."""
    behind, front = ([chance.randrange(256) for _ in range(3)] for _ in range(2))
    image = Image.new("RGB", (32, 32), tuple(behind))
    size = chance.randrange(10, 20)
    left, top = (chance.randrange(2, 30 - size) for _ in range(2))
    box = (left, top, left + size, top + size)
    pencil = ImageDraw.Draw(image)
    match kind:
        case "circle":
            pencil.ellipse(box, fill=tuple(front))
        case "square":
            pencil.rectangle(box, fill=tuple(front))
        case "triangle":
            corners = [(left + size / 2, top), (left, top + size), (left + size, top + size)]
            pencil.polygon(corners, fill=tuple(front))
    return image


task = Task(
    model=model,
    data=data,
    fetch=fetch,
    data_keys=("folder", "workers"),
    neutral=("workers",),
    loss="cross_entropy",
    metrics={"accuracy": "accuracy"},
    unit="images",
)
