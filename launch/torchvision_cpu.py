"""Start-up hook for an environment with CPU-only torch beside a CUDA build of torchvision.

There, ``import torchvision`` fails with "operator torchvision::nms does not exist": its C++ library
cannot load, and the import declares meta kernels for two operators that nobody defined. This hook
defines the two names just before torchvision runs, in every process of the environment (vLLM and
data-loader workers start processes of their own). ``launch/setup.sh`` installs it, with a ``.pth``
file that imports it, only where the import fails. It imports no torch at start-up.
"""

import importlib.abc
import importlib.machinery
import sys

_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def _declare_operators() -> None:
    import torch

    if torch.version.cuda is None:
        library = torch.library.Library("torchvision", "FRAGMENT")
        for name in ("nms", "qnms"):
            library.define(name + _SCHEMA)
        globals()["_library"] = library  # the names go when the library object goes


class _TorchvisionFinder(importlib.abc.MetaPathFinder):
    """Finds torchvision where it is, and has the operators declared before its code runs.

    Looking for torchvision (``importlib.util.find_spec``, as transformers does) declares nothing.
    """

    def find_spec(self, fullname, path=None, target=None):
        if fullname != "torchvision":
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            run = spec.loader.exec_module

            def declare_and_run(module):
                if self in sys.meta_path:
                    sys.meta_path.remove(self)
                    _declare_operators()
                run(module)

            spec.loader.exec_module = declare_and_run
        return spec


sys.meta_path.insert(0, _TorchvisionFinder())
