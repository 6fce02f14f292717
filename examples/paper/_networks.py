"""Networks and adversaries of App. E, which the scripts on training share."""

import functools

import optax
from flax import linen as nn

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


def make_network(options, data, module=None, schedule="constant", **parameters):
    """A network trained in the paper's way, with batches in order; by default the paper's own."""
    rate = options.learning_rate
    if schedule == "cosine":
        n_batches = -(-len(data.X_train) // options.batch_size)
        rate = optax.cosine_decay_schedule(rate, n_batches * options.epochs)
    return FlaxClassifier(
        make_module(data) if module is None else module,
        # Without momentum by default, as in the paper.
        optimizer=functools.partial(optax.sgd, momentum=options.momentum or None),
        learning_rate=rate,
        batch_size=options.batch_size,
        **{"max_epochs": options.epochs, "shuffle": False, "random_state": 0} | parameters,
    )


def make_module(data, network="paper"):
    """The paper's network for such images, or one with a single hidden layer of 64 units."""
    n_outputs = 1 if data.n_classes == 2 else data.n_classes
    if network == "dense":
        return nn.Sequential([nn.Dense(64), nn.relu, nn.Dense(n_outputs)])
    architecture = CIFARConvNet if data.kind == "CIFAR" else MNISTConvNet
    return architecture(n_outputs, image_shape=tuple(data.image_shape))
