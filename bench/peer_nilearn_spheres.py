"""CPU seconds of nilearn's NiftiSpheresMasker; run by bench_spheres.py in an environment of its own."""

import json
import sys
import time
import warnings
from pathlib import Path

from nilearn.maskers import NiftiSpheresMasker

warnings.simplefilter("ignore")
image, mask, where, rounds = sys.argv[1:]
centres = [tuple(one) for one in json.loads(Path(where).read_text())]
best, found = float("inf"), None
for _ in range(int(rounds)):
    start = time.process_time()
    masker = NiftiSpheresMasker(
        centres,
        radius=5.0,
        mask_img=None if mask == "none" else mask,
        allow_overlap=True,
        standardize=None,
    )
    found = masker.fit_transform(image)
    best = min(best, time.process_time() - start)
print(json.dumps({"seconds": best, "first": found[:5].tolist()}))
