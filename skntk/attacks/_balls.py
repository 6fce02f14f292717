from .._balls import *
