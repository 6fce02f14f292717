from .._losses import *
