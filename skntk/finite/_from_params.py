"""Networks that were trained elsewhere as fitted classifiers."""

from __future__ import annotations

from typing import Any, Self

import jax
import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from .._utils.validation import check_integer
from ..networks._function import (
    as_numpy,
    check_input_shape,
    check_outputs,
    check_rowwise,
    count_features,
)
from ..networks._given_parameters import refuse_not_finite, refuse_untrainable
from ..networks._resolve import wrap_trained
from ._initial_state import InitialStateMixin

__all__ = ["FromParamsMixin"]


class FromParamsMixin(InitialStateMixin):
    """The constructor `from_params` of a classifier."""

    @classmethod
    def from_params(
        cls,
        module: Any,
        params: Any = None,
        *,
        classes: ArrayLike,
        n_features: int | None = None,
        input_shape: tuple[int, ...] | None = None,
        **parameters: Any,
    ) -> Self:
        """Wrap a network that is already trained.

        Parameters
        ----------
        module : linen.Module or nnx.Module
            The network; an NNX module carries its own parameters.
        params : dict or nnx.State, default=None
            Variables of a Linen module, ``{"params": ..., ...}`` with its running statistics, or
            its parameters alone; or the state of an NNX module, in place of its own.
        classes : array-like of shape (n_classes,)
            Label of each output; for a single output, the labels of negative and positive values.
        n_features : int, default=None
            Number of input features. If None, the product of `input_shape`.
        input_shape : tuple of int, default=None
            Shape that each sample is given before it enters the network. If None, samples stay
            flat.
        **parameters : dict
            Further constructor parameters.

        Returns
        -------
        classifier : FlaxClassifier
            A fitted classifier.

        Raises
        ------
        TypeError
            If the parameters are not those of the kind of module, or not arrays of floats.
        ValueError
            If parameters or statistics are not finite, or the network does not map n_features
            numbers to the outputs of the classes.

        Notes
        -----
        Weights in a file are read by the library that wrote them. From an Orbax checkpoint of the
        variables, or of a TrainState, which holds them as "params"::

            restored = orbax.checkpoint.StandardCheckpointer().restore(path)
            FlaxClassifier.from_params(module, restored, classes=classes, n_features=d)

        From a safetensors file, whose flat names become a tree::

            flat = safetensors.numpy.load_file(path)
            params = flax.traverse_util.unflatten_dict(flat, sep=".")

        Examples
        --------
        >>> import jax
        >>> import numpy as np
        >>> from skntk import FlaxClassifier
        >>> from skntk.networks import TwoLayerReLU
        >>> module = TwoLayerReLU(16)
        >>> variables = module.init(jax.random.key(0), np.ones((1, 4), np.float32))
        >>> clf = FlaxClassifier.from_params(
        ...     module, variables, classes=["cat", "dog"], n_features=4
        ... )
        >>> clf.decision_function(np.ones((3, 4))).shape
        (3,)
        """
        if n_features is None:
            if input_shape is None:
                raise ValueError("n_features=None needs input_shape; give either.")
            n_features = count_features(input_shape)
        n_features = check_integer("n_features", n_features, low=1)
        check_input_shape(input_shape, n_features)
        labels = np.asarray(classes)
        if labels.ndim != 1 or len(labels) < 2 or len(np.unique(labels)) < len(labels):
            raise ValueError(f"classes={classes!r} must be at least two labels, all different.")
        estimator: Any = cls  # the class that this is mixed into
        classifier = estimator(module, input_shape=input_shape, **parameters)
        classifier._check_parameters()
        if classifier.centered:
            raise ValueError(
                f"centered={classifier.centered!r} needs the initial parameters, which a trained "
                "network no longer has; leave it False."
            )
        network, *trees = wrap_trained(module, params, input_shape)
        refuse_untrainable(trees[0])
        trained, constants = map(as_numpy, trees)
        refuse_not_finite({"params": trained, **constants})
        dtype = np.result_type(np.float32, *jax.tree.leaves(trained))
        check_outputs(network, trained, constants, n_features, len(labels), dtype)
        check_rowwise(network, trained, constants, n_features, dtype)
        random = check_random_state(classifier.random_state)
        classifier._begin(network, trained, constants, labels, random)
        classifier.n_features_in_ = n_features
        return classifier
