"""Adversarial examples from gradients: FGSM and PGD on any differentiable classifier."""

from ._attack import AttackResult, NTKAttack

__all__ = ["AttackResult", "NTKAttack"]
