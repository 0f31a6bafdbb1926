"""The compiled core of numpygeons."""

from typing import Never

from numpygeons._core import comm as comm
from numpygeons._core import engine as engine
from numpygeons._core import evidence as evidence
from numpygeons._core import math as math
from numpygeons._core import random as random
from numpygeons._core import tempering as tempering
from numpygeons._core import tuning as tuning

class _Type(type):
    """The class of the classes that pybind11 makes."""

class _Object(metaclass=_Type):
    """Of the core: made by its functions, and by nobody else where it names no constructor."""

    def __init__(self, *args: Never, **kwargs: Never) -> None: ...
