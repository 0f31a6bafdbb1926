"""One digest of everything a run holds but its times."""

import hashlib
import json

import numpy as np

from numpygeons.checkpoint.state import to_arrays


def digest(pt):
    arrays, header = to_arrays(pt._rounds.state)
    for record in header["records"]["tuple"]:
        del record["RoundRecord"]["seconds"], record["RoundRecord"]["compile_seconds"]
    sha = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        sha.update(f"{name} {array.dtype} {array.shape}".encode() + array.tobytes())
    return sha.hexdigest()
