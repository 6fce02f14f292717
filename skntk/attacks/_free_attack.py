"""Attacks without an estimator of their own, made on each of several estimators in turn."""

from __future__ import annotations

from typing import Any

from sklearn.base import clone

from .._utils.showing import shown
from ._attack import NTKAttack

__all__ = ["attack_on", "check_attack", "check_free_attack"]


def check_attack(attack: Any) -> None:
    """Raise TypeError unless `attack` is one."""
    if not isinstance(attack, NTKAttack):
        raise TypeError(f"attack={shown(attack)} is not an attack; give NTKAttack(None, ...).")


def check_free_attack(attack: Any) -> None:
    """Raise unless `attack` can be made on whichever estimators are attacked with it."""
    check_attack(attack)
    if attack.estimator is not None or attack.targeted:
        raise ValueError(
            "attack has an estimator of its own, or is targeted; give NTKAttack(None, ...), which "
            "is made on each estimator in turn."
        )


def attack_on(attack: NTKAttack, estimator: Any) -> NTKAttack:
    """Return the same attack on another estimator, which is not cloned."""
    return clone(attack).set_params(estimator=estimator)
