# SPDX-License-Identifier: GPL-2.0-or-later
import time
import h5py
import numpy as np

rng = np.random.default_rng(10)
with h5py.File("grown.h5", "w") as f:
    rows = f.create_dataset("rows", (0, 100), maxshape=(None, 100), chunks=(16, 100), compression="gzip")
    for i in range(70):
        rows.resize(i + 1, axis=0)
        rows[i] = rng.integers(1000, size=100)
        rows.attrs["rows"] = i + 1
        if i % 10 == 0:
            f.create_group(f"step{i}").attrs["mean"] = rows[: i + 1].mean()
            f.flush()
        print(i, rows[:, 0].sum(), flush=True)
        time.sleep(0.1)
