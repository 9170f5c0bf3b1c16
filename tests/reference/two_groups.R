# Oracle of tests/stats: two-group tests, correlations, reliability, proportions, p adjustment.
# R 4.2.2 (stats), psych 2.2.9. Simulated data. Run in this folder: Rscript two_groups.R
suppressMessages(library(psych))
set.seed(20210122)
out <- list()
put <- function(what, ...) {
  v <- c(...)
  out[[length(out) + 1]] <<- data.frame(what = what, value = names(v), number = format(unname(v), digits = 17, trim = TRUE))
}

n <- 14
a <- round(rnorm(n, 1.0, 1.0), 4)
b <- round(0.6 * a + rnorm(n, 0.2, 1.3), 4)
x <- round(rnorm(n), 4)
y <- round(0.5 * x + 0.3 * a + rnorm(n), 4)
pairs <- data.frame(a = a, b = b, x = x, y = y)
write.csv(pairs, "two_groups_pairs.csv", row.names = FALSE)

tt <- function(what, t) put(what, statistic = unname(t$statistic), df = unname(t$parameter), p = t$p.value,
                            ci_low = t$conf.int[1], ci_high = t$conf.int[2])
tt("welch", t.test(a[1:9], b))
tt("pooled", t.test(a[1:9], b, var.equal = TRUE))
tt("paired", t.test(a, b, paired = TRUE))

# limits of the noncentrality behind an effect size
limits <- function(t, df) sapply(c(0.975, 0.025), function(q)
  uniroot(function(nc) pt(t, df, nc) - q, t + c(-12, 12), tol = 1e-13)$root)
t2 <- t.test(a[1:9], b, var.equal = TRUE)
scale <- sqrt(1 / 9 + 1 / n)
nc <- limits(unname(t2$statistic), 21) * scale
put("cohen_d_pooled", estimate = unname(t2$statistic) * scale, ci_low = nc[1], ci_high = nc[2])
j <- exp(lgamma(21 / 2) - lgamma(20 / 2)) / sqrt(21 / 2)
put("hedges_g", estimate = unname(t2$statistic) * scale * j, ci_low = nc[1] * j, ci_high = nc[2] * j)
t1 <- t.test(a, b, paired = TRUE)
nc <- limits(unname(t1$statistic), n - 1) / sqrt(n)
put("d_z", estimate = mean(a - b) / sd(a - b), ci_low = nc[1], ci_high = nc[2])
av <- sqrt((var(a) + var(b)) / 2)
put("d_av", estimate = mean(a - b) / av, ci_low = nc[1] * sd(a - b) / av, ci_high = nc[2] * sd(a - b) / av)

ct <- cor.test(x, y)
put("pearson", estimate = unname(ct$estimate), statistic = unname(ct$statistic), p = ct$p.value,
    ci_low = ct$conf.int[1], ci_high = ct$conf.int[2])
cs <- cor.test(x, y, method = "spearman", exact = FALSE)
put("spearman", estimate = unname(cs$estimate), p = cs$p.value)
# partial: t of x in y ~ x + a + b has the p of the partial correlation
pc <- summary(lm(y ~ x + a + b))$coefficients["x", ]
put("partial", statistic = unname(pc[3]), p = unname(pc[4]))

# within persons: ANCOVA with one slope
people <- 12
rm <- data.frame(subject = rep(sprintf("%02d", 1:people), each = 4), x = round(rnorm(4 * people), 4))
rm$y <- round(0.4 * rm$x + rep(rnorm(people, 0, 2), each = 4) + rnorm(4 * people), 4)
rm <- rm[-c(3, 10, 11, 45, 46, 47), ]
write.csv(rm, "two_groups_repeated.csv", row.names = FALSE)
keep <- rm[rm$subject %in% names(which(table(rm$subject) > 1)), ]
fit <- lm(y ~ factor(subject) + x, data = keep)
an <- anova(fit)
r <- sign(coef(fit)["x"]) * sqrt(an["x", 2] / (an["x", 2] + an["Residuals", 2]))
put("repeated", estimate = unname(r), slope = unname(coef(fit)["x"]), df = an["Residuals", 1],
    statistic = unname(summary(fit)$coefficients["x", 3]), p = an["x", 5])

# reliability
scores <- matrix(round(rep(rnorm(10, 0, 2), 3) + rep(c(0, 0.5, 1.2), each = 10) + rnorm(30), 4), ncol = 3)
long <- data.frame(target = rep(sprintf("%02d", 1:10), 3), rater = rep(c("r1", "r2", "r3"), each = 10),
                   score = as.vector(scores))
write.csv(long, "two_groups_raters.csv", row.names = FALSE)
table <- ICC(scores, lmer = FALSE)$results
for (i in 1:6) put(paste0("icc ", table$type[i]), estimate = table$ICC[i], statistic = table$F[i], df_numerator = table$df1[i],
                   df = table$df2[i], p = table$p[i], ci_low = table[i, 7], ci_high = table[i, 8])

# proportions
w <- prop.test(9, 13, correct = FALSE)
put("wilson 9/13", ci_low = w$conf.int[1], ci_high = w$conf.int[2])
e <- binom.test(9, 13)
put("clopper 9/13", ci_low = e$conf.int[1], ci_high = e$conf.int[2])
z <- prop.test(c(9, 4), c(13, 15), correct = FALSE)
put("score 9/13 4/15", chi2 = unname(z$statistic), p = z$p.value)
f <- fisher.test(matrix(c(9, 4, 4, 11), 2))
put("fisher 9/13 4/15", estimate = unname(f$estimate), p = f$p.value, ci_low = f$conf.int[1], ci_high = f$conf.int[2])
m <- binom.test(7, 9)
put("mcnemar 7 2", p = m$p.value)

p <- c(0.0031, 0.0009, 0.04, 0.51, 0.012, 0.0125, 0.25, 0.041)
for (method in c("bonferroni", "holm", "hochberg", "BH", "BY"))
  put(paste("adjust", method), setNames(p.adjust(p, method), seq_along(p)))
put("adjust raw", setNames(p, seq_along(p)))
put("adjust bonferroni 20", setNames(p.adjust(p, "bonferroni", n = 20), seq_along(p)))
put("adjust holm 10", setNames(p.adjust(p, "holm", n = 10), seq_along(p)))
write.csv(do.call(rbind, out), "two_groups.csv", row.names = FALSE)
