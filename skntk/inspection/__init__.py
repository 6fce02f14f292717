"""Pictures: scikit-learn Displays of attacks, features, training and kernels."""

from ._adversarial import AdversarialExamplesDisplay

__all__ = ["AdversarialExamplesDisplay"]
