"""Parameters of a kernel that an estimator holds by its name."""

from __future__ import annotations

from typing import Any

from ..kernels._resolve import named_kernel

__all__ = ["KernelParametersMixin"]


class KernelParametersMixin:
    """Makes ``kernel__depth`` and the like addressable where `kernel` is a name such as "fc2".

    Once one of them is set, `kernel` is the kernel that the name stands for.
    """

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters, with those of the kernel if `deep`."""
        parent: Any = super()
        params = parent.get_params(deep)
        kernel = named_kernel(params.get("kernel"))
        if deep and kernel is not None:
            params |= {f"kernel__{name}": value for name, value in kernel.get_params().items()}
        return params

    def set_params(self, **params: Any) -> Any:
        """Set parameters, of the kernel too."""
        name = params.get("kernel", getattr(self, "kernel", None))
        kernel = named_kernel(name)
        addressed = [key for key in params if key.startswith("kernel__")]
        if addressed and kernel is None and isinstance(name, str):
            raise ValueError(
                f"{addressed[0]} cannot be set with kernel={name!r}, which is not known before "
                "fit; give a kernel from skntk.kernels."
            )
        if addressed and kernel is not None:
            params = {"kernel": kernel} | {k: v for k, v in params.items() if k != "kernel"}
        parent: Any = super()
        return parent.set_params(**params)
