"""Adversarial examples from gradients: FGSM and PGD on any differentiable estimator."""

from ._affine import AffineMap
from ._attack import AttackResult, NTKAttack
from ._differentiable import DifferentiableClassifier

__all__ = ["AffineMap", "AttackResult", "DifferentiableClassifier", "NTKAttack"]
