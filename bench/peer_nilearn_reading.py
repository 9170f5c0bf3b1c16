"""CPU seconds of nilearn's maskers; run by bench_reading.py in an environment of its own."""

import json
import sys
import time
import warnings

import numpy as np
import pandas as pd
from nilearn.maskers import NiftiLabelsMasker, NiftiMasker

warnings.simplefilter("ignore")
what, image, labels, mask, confounds, rounds = sys.argv[1:]
table = pd.read_csv(confounds, sep="\t").to_numpy()
clean = {"detrend": True, "standardize": "zscore_sample", "low_pass": 0.08, "high_pass": 0.009}
clean |= {"t_r": 2.0}  # the filter is Butterworth's by default
best = np.inf
for _ in range(int(rounds)):
    start = time.process_time()
    if what == "voxels":
        masker = NiftiMasker(mask_img=mask, dtype="float32", **clean)
        found = masker.fit_transform(image, confounds=table)
    elif what == "labels":
        masker = NiftiLabelsMasker(labels_img=labels, mask_img=mask, standardize=None)
        found = masker.fit_transform(image)
    else:
        masker = NiftiLabelsMasker(labels_img=labels, mask_img=mask, **clean)
        found = masker.fit_transform(image, confounds=table)
    best = min(best, time.process_time() - start)
print(json.dumps({"seconds": best, "shape": found.shape, "first": found[:5, :5].tolist()}))
