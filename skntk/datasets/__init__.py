"""Images for examples and experiments: from scikit-learn, OpenML, or files of many formats."""

from ._load import load_images

__all__ = ["load_images"]
