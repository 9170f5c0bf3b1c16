"""CPU seconds of BrainStat's mixed SLM; run by bench_edges.py in an environment of its own."""

import contextlib
import io
import json
import sys
import time

import numpy as np
from brainstat.stats.SLM import SLM
from brainstat.stats.terms import FixedEffect, MixedEffect

data = np.load(sys.argv[1])
best = np.inf
for _ in range(int(sys.argv[2])):
    start = time.process_time()
    fixed = FixedEffect(data["fixed"], names=[f"x{k}" for k in range(data["fixed"].shape[1])])
    model = fixed + MixedEffect(data["subject"], name_ran="subject")
    slm = SLM(model, data["contrast"], two_tailed=True)
    with contextlib.redirect_stdout(io.StringIO()):
        slm.fit(data["values"])
    best = min(best, time.process_time() - start)
t = np.asarray(slm.t).ravel()
print(json.dumps({"seconds": best, "t": t[:50].tolist()}))
