# SPDX-License-Identifier: GPL-2.0-or-later
library(parallel)
RNGkind("L'Ecuyer-CMRG")
set.seed(7)
walk <- function(k) {
    x <- 0
    for (i in 1:40) {
        x <- x + sum(rnorm(2000))
        Sys.sleep(0.05)
    }
    x
}
for (round in 1:4) {
    r <- unlist(mclapply(1:3, walk, mc.cores = 3))
    cat(round, format(r, digits = 15), "\n")
}
