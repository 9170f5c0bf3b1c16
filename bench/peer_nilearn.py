"""CPU seconds of nilearn's permuted_ols; run by bench_edges.py in an environment of its own."""

import json
import sys
import time
import warnings

import numpy as np
from nilearn.mass_univariate import permuted_ols

warnings.simplefilter("ignore")
data = np.load(sys.argv[1])
start = time.process_time()
found = permuted_ols(
    data["contrast"],
    data["values"],
    confounding_vars=data["confounds"],
    model_intercept=True,
    n_perm=int(sys.argv[2]),
    two_sided_test=True,
    random_state=0,
    n_jobs=1,
    output_type="dict",
)
print(json.dumps({"seconds": time.process_time() - start, "t": found["t"].ravel()[:50].tolist()}))
