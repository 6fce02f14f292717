"""Networks and adversaries of App. E, which the scripts on training share."""

import functools

import optax

from skntk import AdversarialTraining, FlaxClassifier
from skntk.networks import CIFARConvNet, MNISTConvNet


def make_adversaries(options):
    """Adversaries of training by name, and that of all evaluations, PGD-20."""
    step = {"eps_step": options.eps_step}
    return {
        "none": None,
        "fgsm": AdversarialTraining(options.eps, method="fgsm"),
        "pgd": AdversarialTraining(options.eps, max_iter=options.pgd_steps, **step),
        "pgd-20": AdversarialTraining(options.eps, max_iter=20, **step),
    }


def make_network(options, data, **parameters):
    """The paper's network for such images, trained in the paper's way: batches in order."""
    architecture = CIFARConvNet if data.kind == "CIFAR" else MNISTConvNet
    n_outputs = 1 if data.n_classes == 2 else data.n_classes
    return FlaxClassifier(
        architecture(n_outputs, image_shape=tuple(data.image_shape)),
        # Without momentum by default, as in the paper.
        optimizer=functools.partial(optax.sgd, momentum=options.momentum or None),
        learning_rate=options.learning_rate,
        batch_size=options.batch_size,
        **{"max_epochs": options.epochs, "shuffle": False, "random_state": 0} | parameters,
    )
