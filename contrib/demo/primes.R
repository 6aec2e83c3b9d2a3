# SPDX-License-Identifier: GPL-2.0-or-later
#
# primes.R - count primes among random numbers, a line about twice a second
#
# Rscript primes.R [LINES]     default 120 lines, about a minute
#
# It prints the same each time, as long as nothing is lost of what it has in
# memory: the state of the random numbers, all primes so far, and a file below
# tempdir() that it adds to and whose checksum stands in each line.

lines <- suppressWarnings(as.integer(c(commandArgs(TRUE), "120")[1]))
if (is.na(lines)) stop("usage: Rscript primes.R [LINES]")
set.seed(20)

divisors <- 2:1500
divisors <- divisors[vapply(divisors, function(d)
    d == 2 || all(d %% 2:max(2, floor(sqrt(d))) != 0), NA)]
is_prime <- function(x) {
    candidate <- rep(TRUE, length(x))
    for (d in divisors) candidate <- candidate & x %% d != 0
    candidate
}

notes <- tempfile("primes-")
found <- integer()
for (i in seq_len(lines)) {
    x <- sample(1500:2250000, 20000)
    new <- x[is_prime(x)]
    found <- c(found, new)
    write(new, notes, append = TRUE)
    cat(sprintf("line %3d  primes %6d  largest %7d  mean %10.2f  notes %s\n",
                i, length(found), max(found), mean(found),
                substr(tools::md5sum(notes), 1, 12)))
    Sys.sleep(0.45)
}
