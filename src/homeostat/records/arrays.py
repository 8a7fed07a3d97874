"""Names for the array types that travel between stages."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Float: TypeAlias = NDArray[np.float64]
Int: TypeAlias = NDArray[np.int64]
Bytes: TypeAlias = NDArray[np.uint8]
Mask: TypeAlias = NDArray[np.bool_]
Bits: TypeAlias = NDArray[np.uint64]
Small: TypeAlias = NDArray[np.int16]
AnyArray: TypeAlias = NDArray[Any]
State: TypeAlias = dict[str, NDArray[np.generic]]
