"""Parameters of a kernel that an estimator is given by name."""

from __future__ import annotations

from typing import Any

from ..kernels._resolve import named_kernel

__all__ = ["KernelParametersMixin"]


class KernelParametersMixin:
    """Makes parameters such as ``kernel__depth`` addressable if `kernel` is a name such as "fc2".

    Setting one of them replaces the name by the kernel that it stands for.
    """

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters, including those of the kernel if `deep`."""
        parent: Any = super()
        params = parent.get_params(deep)
        kernel = named_kernel(params.get("kernel"))
        if deep and kernel is not None:
            params |= {f"kernel__{name}": value for name, value in kernel.get_params().items()}
        return params

    def set_params(self, **params: Any) -> Any:
        """Set parameters, including those of the kernel."""
        name = params.get("kernel", getattr(self, "kernel", None))
        kernel = named_kernel(name)
        addressed = [key for key in params if key.startswith("kernel__")]
        if addressed and kernel is None and isinstance(name, str):
            raise ValueError(
                f"{addressed[0]} cannot be set with kernel={name!r}, which stands for no kernel "
                "before fit; give a kernel from skntk.kernels."
            )
        if addressed and kernel is not None:
            params = {"kernel": kernel} | {k: v for k, v in params.items() if k != "kernel"}
        parent: Any = super()
        return parent.set_params(**params)
