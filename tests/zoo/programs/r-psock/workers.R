# SPDX-License-Identifier: GPL-2.0-or-later
library(parallel)
cl <- makePSOCKcluster(2)
clusterSetRNGStream(cl, 11)
total <- 0
for (round in 1:10) {
    r <- parSapply(cl, 1:4, function(k) {
        Sys.sleep(0.35)
        mean(rnorm(5000)) * k
    })
    total <- total + sum(r)
    cat(round, format(c(r, total), digits = 15), "\n")
}
stopCluster(cl)
