# SPDX-License-Identifier: GPL-2.0-or-later
set.seed(1)
x <- numeric()
for (i in 1:80) {
    x <- c(x, rnorm(1000))
    cat(i, format(c(mean(x), sd(x), median(x)), digits = 15), "\n")
    Sys.sleep(0.1)
}
write.csv(data.frame(q = quantile(x, 0:20 / 20)), "quantiles.csv")
