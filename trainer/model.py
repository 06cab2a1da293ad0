"""The convolutional network for 28 x 28 grey images."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class CNN(nn.Module):
    """Two convolutions and three linear layers: 44,426 parameters, ten classes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, kernel_size=5)
        self.conv2 = nn.Conv2d(6, 12, kernel_size=5)
        self.fc1 = nn.Linear(12 * 4 * 4, 120)
        self.fc2 = nn.Linear(120, 60)
        self.out = nn.Linear(60, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Map images, float (N, 1, 28, 28) in [0, 1], to logits (N, 10)."""
        # the same values and gradients as pooling after ReLU, on a quarter of the elements
        x = F.relu(F.max_pool2d(self.conv1(images), 2))
        x = F.relu(F.max_pool2d(self.conv2(x), 2))
        x = torch.flatten(x, start_dim=1)
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        logits: Tensor = self.out(x)
        return logits
