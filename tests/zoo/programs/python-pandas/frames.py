# SPDX-License-Identifier: GPL-2.0-or-later
import time
import numpy as np
import pandas as pd

rng = np.random.default_rng(9)
total = pd.DataFrame({"key": range(50), "sum": 0}).set_index("key")
for i in range(50):
    d = pd.DataFrame({"key": rng.integers(50, size=5000), "x": rng.integers(1000, size=5000)})
    d.to_csv("part.csv", index=False)
    sums = pd.read_csv("part.csv").groupby("key")["x"].agg(["sum", "count"])
    total["sum"] += sums["sum"].reindex(total.index, fill_value=0)
    print(i, int(total["sum"].max()), sums.merge(total, on="key").iloc[3].to_list(), flush=True)
    time.sleep(0.12)
total.to_csv("total.csv")
