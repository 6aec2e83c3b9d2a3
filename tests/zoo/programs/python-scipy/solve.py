# SPDX-License-Identifier: GPL-2.0-or-later
import time
import numpy as np
from scipy import integrate, sparse, spatial
from scipy.sparse.linalg import spsolve

rng = np.random.default_rng(8)
n = 2000
state = np.array([1.0, 0.5, 20.0])


def lorenz(_, s):
    return [10 * (s[1] - s[0]), s[0] * (28 - s[2]) - s[1], s[0] * s[1] - 8 / 3 * s[2]]


for i in range(60):
    a = sparse.diags([-1.0, 2.5 + 0.01 * i, -1.0], [-1, 0, 1], (n, n), format="csc")
    x = spsolve(a, rng.standard_normal(n))
    state = integrate.solve_ivp(lorenz, (0, 0.2), state, rtol=1e-8).y[:, -1]
    far = spatial.cKDTree(rng.random((500, 3))).query(rng.random((50, 3)))[0].max()
    print(i, f"{np.abs(x).max():.10f} {state[0]:.9f} {far:.10f}", flush=True)
    time.sleep(0.1)
np.save("state.npy", np.round(state, 9))
