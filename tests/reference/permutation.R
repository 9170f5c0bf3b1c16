# Oracle of tests/stats/test_permutation.py. R 4.2.2 with vegan 2.6-4 (Freedman-Lane F of every
# permutation of a given list: permutest(rda(y ~ term + Condition(nuisance)), model = "reduced"))
# and coin 1.4-2 (exact two-sample test). Simulated data. Run in this folder: Rscript permutation.R
suppressMessages({library(vegan); library(coin)})
set.seed(1983)
out <- list()
put <- function(what, value, number)
  out[[length(out) + 1]] <<- data.frame(what = what, value = value, number = format(number, digits = 17, trim = TRUE))

# within people: four people, three visits each, a covariate that moves with the rows
within <- data.frame(subject = rep(1:4, each = 3), dose = rep(c(0, 1, 3), 4) + rep(c(0, .1, .2, .3), each = 3),
                     motion = round(runif(12), 3))
within$y <- round(0.4 * within$dose + 2 * within$motion + rep(rnorm(4), each = 3) + rnorm(12), 4)
six <- rbind(c(1, 2, 3), c(1, 3, 2), c(2, 1, 3), c(2, 3, 1), c(3, 1, 2), c(3, 2, 1))
grid <- expand.grid(1:6, 1:6, 1:6, 1:6)
orders <- t(apply(grid, 1, function(g) c(six[g[1], ], 3 + six[g[2], ], 6 + six[g[3], ], 9 + six[g[4], ])))[-1, ]
y <- within$y  # vegan looks for the response in the workspace
a <- permutest(rda(y ~ dose + Condition(motion), data = within), permutations = orders, model = "reduced")
put("within", "observed", a$F.0)
put("within null", seq_along(a$F.perm), sort(as.vector(a$F.perm)))

# whole people: two arms, two visits, people with one visit apart, age as nuisance
whole <- data.frame(subject = rep(1:7, c(2, 2, 2, 2, 2, 1, 1)), visit = c(rep(1:2, 5), 1, 1),
                    arm = rep(c(1, 0, 1, 0, 0, 1, 0), c(2, 2, 2, 2, 2, 1, 1)))
age <- sample(20:60, 7); whole$age <- age[whole$subject]
whole$y <- round(rnorm(7)[whole$subject] + 0.05 * whole$age + whole$visit + rnorm(12), 4)
library(permute)
five <- rbind(1:5, allPerms(5)); both <- rbind(1:2, 2:1)
orders <- do.call(rbind, lapply(seq_len(nrow(five)), function(i) t(sapply(1:2, function(j)
  c(as.vector(rbind(2 * five[i, ] - 1, 2 * five[i, ])), 10 + both[j, ])))))[-1, ]
y <- whole$y
b <- permutest(rda(y ~ arm + Condition(visit + age), data = whole), permutations = orders, model = "reduced")
put("whole", "observed", b$F.0)
put("whole null", seq_along(b$F.perm), sort(as.vector(b$F.perm)))

# one edge, two groups: exact
groups <- data.frame(arm = factor(rep(c("a", "b"), c(5, 6))), y = round(rnorm(11) + rep(c(0, 1), c(5, 6)), 4))
p <- pvalue(oneway_test(y ~ arm, groups, distribution = exact()))
put("two groups", "p", as.numeric(p))
write.csv(do.call(rbind, out), "permutation.csv", row.names = FALSE)
write.csv(within, "permutation_within.csv", row.names = FALSE)
write.csv(whole, "permutation_whole.csv", row.names = FALSE)
write.csv(groups, "permutation_groups.csv", row.names = FALSE)
