"""Qwen's patch embedding as the matrix product that it is.

The vision tower turns each patch into a vector with a 3-D convolution whose kernel is as large as
the patch: a linear layer, which convolution kernels compute slowly (on 2 cores a tenth of a
training step of the demo model). Equal up to rounding; the weights keep their shape and name.
"""

import types
from typing import Any

import torch
import torch.nn.functional as F

from recipes.vlm import vision_modules


def use_linear_patch_embedding(model: Any) -> int:
    """Change the patch embeddings of ``model`` in place; return how many there were."""
    found = [
        module
        for tower in vision_modules(model)
        for module in tower.modules()
        if isinstance(module, torch.nn.Conv3d) and module.kernel_size == module.stride
    ]
    for module in found:
        # Not a module in its place: names, hooks (ZeRO-3 gathers weights in one) and types stay.
        module.forward = types.MethodType(_linear, module)
    return len(found)


def _linear(self: torch.nn.Conv3d, patches: torch.Tensor) -> torch.Tensor:
    """Return what the convolution returns for patches of its kernel's size, (n, c, t, h, w)."""
    if tuple(patches.shape[2:]) != tuple(self.kernel_size):
        return self._conv_forward(patches, self.weight, self.bias)
    vectors = F.linear(patches.flatten(1), self.weight.flatten(1), self.bias)
    return vectors[:, :, None, None, None]
