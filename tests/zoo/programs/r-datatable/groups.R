# SPDX-License-Identifier: GPL-2.0-or-later
library(data.table)
setDTthreads(2)
set.seed(4)
names <- data.table(g = 1:500, name = paste0("group", 500:1), key = "g")
for (i in 1:40) {
    d <- data.table(g = sample(500, 4e4, TRUE), x = sample(1e6, 4e4, TRUE))
    s <- names[d[, .(n = .N, most = max(x), sum = sum(x)), keyby = g]]
    fwrite(s, "groups.csv", append = i > 1)
    cat(i, s[order(-sum)][1, paste(name, n, sum)], "\n")
    Sys.sleep(0.15)
}
