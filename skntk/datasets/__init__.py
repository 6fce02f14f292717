"""Images for examples and experiments: scikit-learn's digits, OpenML, or files of many forms."""

from ._load import load_images

__all__ = ["load_images"]
