# SPDX-License-Identifier: GPL-2.0-or-later
set.seed(3)
files <- replicate(4, tempfile(fileext = ".rds"))
for (f in files) saveRDS(numeric(), f)
for (i in 1:80) {
    f <- files[i %% 4 + 1]
    x <- c(readRDS(f), rnorm(500))
    saveRDS(x, f)
    cat(i, length(x), format(sum(x), digits = 15), "\n")
    Sys.sleep(0.09)
}
cat(file.exists(files), dirname(files) == tempdir(), "\n")
