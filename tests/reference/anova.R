# Oracle of tests/stats/test_anova.py and test_change.py: repeated-measures ANOVA, ANCOVA, crossover, TOST.
# R 4.2.2 (stats), car 3.1-1, emmeans 1.8.4-1. Simulated data. Run in this folder: Rscript anova.R
suppressMessages({library(car); library(emmeans)})
options(contrasts = c("contr.sum", "contr.poly"))
set.seed(96)
out <- list()
put <- function(what, ...) {
  v <- c(...)
  out[[length(out) + 1]] <<- data.frame(what = what, value = names(v), number = format(unname(v), digits = 17, trim = TRUE))
}

n <- 17
arm <- rep(c("drug", "placebo"), c(10, 7))
visits <- c("pre", "day1", "week2", "week8")
drift <- outer(arm == "drug", c(0, -6, -9, -5))
wide <- round(30 + drift + rnorm(n, 0, 3) + matrix(rnorm(n * 4), n) %*% diag(c(1, 2, 4, 5)), 3)
colnames(wide) <- visits
long <- data.frame(subject = rep(sprintf("%02d", 1:n), each = 4), arm = rep(arm, each = 4),
                   visit = rep(visits, n), score = as.vector(t(wide)))
write.csv(long, "anova_visits.csv", row.names = FALSE)

effect <- function(a, term, what, n_cells = 4, contrasts_of = 1) {
  u <- a$univariate.tests[term, ]
  put(what, statistic = u[["F value"]], df_numerator = u[["num Df"]], df = u[["den Df"]], p = u[["Pr(>F)"]],
      eta = u[["Sum Sq"]] / (u[["Sum Sq"]] + u[["Error SS"]]))
  if (term %in% rownames(a$pval.adjustments)) {
    s <- a$pval.adjustments[term, ]
    put(what, gg = s[["GG eps"]], gg_p = s[["Pr(>F[GG])"]], hf = s[["HF eps"]], hf_p = s[["Pr(>F[HF])"]])
    m <- a$sphericity.tests[term, ]
    # R and car take 3 times the number of cells where Box's expansion has 3 times that of contrasts
    w <- m[["Test statistic"]]; d <- u[["num Df"]] / contrasts_of; n <- u[["den Df"]] / d
    rho <- 1 - (2 * d^2 + d + 2) / (6 * d * n); z <- -n * rho * log(w); f <- d * (d + 1) / 2 - 1
    expand <- function(third) { w2 <- (d + 2) * (d - 1) * (d - 2) * (2 * d^3 + 6 * d^2 + 3 * third + 2) / (288 * (n * d * rho)^2)
      p <- pchisq(z, f, lower.tail = FALSE); p + w2 * (pchisq(z, f + 4, lower.tail = FALSE) - p) }
    stopifnot(abs(expand(n_cells) - m[["p-value"]]) < 1e-12)
    put(what, mauchly_w = w, mauchly_p = expand(d))
  }
}
idata <- data.frame(visit = factor(visits, visits))
one <- lm(wide ~ 1)
a <- suppressWarnings(summary(Anova(one, idata = idata, idesign = ~visit, type = 3), multivariate = FALSE))
effect(a, "visit", "one way visit")
armf <- factor(arm)
two <- lm(wide ~ armf)
a <- suppressWarnings(summary(Anova(two, idata = idata, idesign = ~visit, type = 3), multivariate = FALSE))
effect(a, "armf", "mixed arm")
effect(a, "visit", "mixed visit")
effect(a, "armf:visit", "mixed arm:visit")
# base R prints the same Greenhouse-Geisser and Huynh-Feldt figures
b <- anova(one, X = ~1, test = "Spherical")
put("one way visit base", gg_p = b[1, "G-G Pr"], hf_p = b[1, "H-F Pr"])

m <- 11
six <- round(matrix(rnorm(m * 6), m) + rnorm(m) + rep(c(0, .2, .4, 0, .9, 1.5), each = m), 3)
cells <- expand.grid(hour = c("h1", "h3", "h24"), treatment = c("placebo", "ketamine"))
long2 <- data.frame(subject = rep(sprintf("%02d", 1:m), each = 6), cells[rep(1:6, m), ], fc = as.vector(t(six)))
write.csv(long2, "anova_two_within.csv", row.names = FALSE)
cells$hour <- factor(cells$hour, unique(cells$hour)); cells$treatment <- factor(cells$treatment)
a <- suppressWarnings(summary(Anova(lm(six ~ 1), idata = cells, idesign = ~treatment * hour, type = 3), multivariate = FALSE))
for (t in c("treatment", "hour", "treatment:hour")) effect(a, t, paste("two within", t), n_cells = 6)
# noncentral F limits
limit <- function(f, d1, d2, q) { if (pf(f, d1, d2) <= q) return(0)
  uniroot(function(nc) pf(f, d1, d2, nc) - q, c(0, 500), tol = 1e-13)$root }
nc <- c(limit(6.5, 3, 48, 0.975), limit(6.5, 3, 48, 0.025))
put("eta limits of F(3, 48) = 6.5", ci_low = nc[1] / (nc[1] + 52), ci_high = nc[2] / (nc[2] + 52))

# ANCOVA
ch <- data.frame(subject = sprintf("%02d", 1:n), arm = armf, pre = wide[, 1], week2 = wide[, 3], age = round(runif(n, 20, 60)))
write.csv(ch, "anova_change.csv", row.names = FALSE)
options(contrasts = c("contr.treatment", "contr.poly"))
ch$arm <- relevel(ch$arm, "placebo")
ch$change <- ch$week2 - ch$pre
fit <- lm(change ~ pre + arm + age, data = ch)
s <- summary(fit)$coefficients["armdrug", ]
put("ancova", estimate = s[[1]], se = s[[2]], statistic = s[[3]], p = s[[4]], df = fit$df.residual,
    ci_low = confint(fit)["armdrug", 1], ci_high = confint(fit)["armdrug", 2])
e <- summary(emmeans(fit, "arm"))
put("ancova mean placebo", estimate = e$emmean[1], se = e$SE[1], ci_low = e$lower.CL[1], ci_high = e$upper.CL[1])
put("ancova mean drug", estimate = e$emmean[2], se = e$SE[2], ci_low = e$lower.CL[2], ci_high = e$upper.CL[2])
sl <- anova(fit, lm(change ~ pre * arm + age, data = ch))
put("ancova slopes", p = sl[2, "Pr(>F)"])

# crossover
k <- 14
order <- rep(c("KP", "PK"), c(8, 6))
person <- rnorm(k, 0, 2)
co <- data.frame(subject = rep(sprintf("%02d", 1:k), each = 2), period = rep(1:2, k), sequence = rep(order, each = 2))
co$treatment <- ifelse((co$sequence == "KP") == (co$period == 1), "ketamine", "placebo")
co$baseline <- round(20 + rep(person, each = 2) + rnorm(2 * k), 3)
co$score <- round(co$baseline - 5 * (co$treatment == "ketamine") - (co$period == 2) + rnorm(2 * k, 0, 2), 3)
write.csv(co, "anova_crossover.csv", row.names = FALSE)
co$treatment <- relevel(factor(co$treatment), "placebo"); co$period <- factor(co$period)
full <- lm(score ~ subject + period + treatment, data = co)
s <- summary(full)$coefficients
for (t in c("treatmentketamine", "period2"))
  put(paste("crossover", t), estimate = s[t, 1], se = s[t, 2], statistic = s[t, 3], p = s[t, 4], df = full$df.residual,
      ci_low = confint(full)[t, 1], ci_high = confint(full)[t, 2])
total <- tapply(co$score, co$subject, sum)
tt <- t.test(total[order == "KP"], total[order == "PK"], var.equal = TRUE)
put("crossover sequence", statistic = unname(tt$statistic), df = unname(tt$parameter), p = tt$p.value)
withb <- lm(score ~ subject + period + treatment + baseline, data = co)
s <- summary(withb)$coefficients["treatmentketamine", ]
put("crossover baseline", estimate = s[[1]], se = s[[2]], statistic = s[[3]], p = s[[4]], df = withb$df.residual)
p1 <- co[co$period == "1", ]
tt <- t.test(p1$score[p1$treatment == "ketamine"], p1$score[p1$treatment == "placebo"])
put("crossover period 1", statistic = unname(tt$statistic), df = unname(tt$parameter), p = tt$p.value,
    ci_low = tt$conf.int[1], ci_high = tt$conf.int[2])

# equivalence: two one-sided Welch tests within -4 and 5
g1 <- ch$week2[ch$arm == "drug"]; g2 <- ch$pre[ch$arm == "placebo"] - 8
put("tost", p_low = t.test(g1, g2, mu = -4, alternative = "greater")$p.value,
    p_high = t.test(g1, g2, mu = 5, alternative = "less")$p.value,
    ci_low = t.test(g1, g2, conf.level = 0.9)$conf.int[1], ci_high = t.test(g1, g2, conf.level = 0.9)$conf.int[2])
write.csv(do.call(rbind, out), "anova.csv", row.names = FALSE)
