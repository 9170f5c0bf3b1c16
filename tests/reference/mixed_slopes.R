# Oracle for random slopes, nested and crossed groupings and Kenward-Roger with expected information:
# lme4 1.1-31, lmerTest 3.1-3, pbkrtest 0.5.2.
# Writes its own simulated data (mixed_slopes_data.csv) and the numbers (mixed_slopes.csv).
suppressMessages({library(lme4); library(lmerTest); library(pbkrtest)})
options(contrasts = c("contr.treatment", "contr.poly"), digits = 17)
control <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-10, maxfun = 1e6),
                       check.conv.singular = "ignore")
set.seed(4)
n <- 26
data <- expand.grid(week = c(0, 1, 2, 4), subject = sprintf("s%02d", 1:n), stringsAsFactors = FALSE)
i <- as.integer(substr(data$subject, 2, 3))
data$site <- sprintf("c%d", (i - 1) %/% 4 + 1)
data$rater <- sprintf("r%d", sample(1:5, nrow(data), TRUE))
data$arm <- ifelse(i %% 2 == 0, "drug", "placebo")
data$visit <- paste0("w", data$week)
data$day <- data$week + round(runif(nrow(data), -0.3, 0.3), 2)
data$y <- 5 + rnorm(7, 0, 0.6)[(i - 1) %/% 4 + 1] + rnorm(5, 0, 0.5)[as.integer(substr(data$rater, 2, 2))] +
  rnorm(n, 0, 0.8)[i] + data$week * (0.3 + rnorm(n, 0, 0.35)[i]) - 0.2 * data$week * (data$arm == "drug") +
  rnorm(nrow(data), 0, 0.7)
data <- data[-sample(nrow(data), 12), ]
# an outcome whose fitted correlation is one: the first of these draws with such a fit
i <- as.integer(substr(data$subject, 2, 3))
for (draw in 1:100) {
  data$tied <- 1 + (0.5 + 0.2 * data$week) * rnorm(n)[i] + rnorm(nrow(data))
  vc <- as.data.frame(VarCorr(lmer(tied ~ week * arm + (week | subject), data, control = control)))
  if (abs(vc$sdcor[3]) > 1 - 1e-9) break
}
write.csv(format(data, digits = 17, trim = TRUE), "mixed_slopes_data.csv", row.names = FALSE, quote = FALSE)
data <- read.csv("mixed_slopes_data.csv")
data$arm <- factor(data$arm, c("placebo", "drug"))
data$visit <- factor(data$visit, c("w0", "w1", "w2", "w4"))

out <- list()
add <- function(case, kind, term, estimate = NA, se = NA, df_numerator = NA, df = NA, statistic = NA, p = NA)
  out[[length(out) + 1]] <<- data.frame(case, kind, term, estimate, se, df_numerator, df, statistic, p)
store <- function(case, formula, REML = TRUE, kr = REML, start = NULL) {
  fit <- lmer(formula, data, REML = REML, control = control, start = start)
  co <- summary(fit)$coefficients
  for (t in rownames(co)) add(case, "coefficient", t, co[t, 1], co[t, 2], 1, co[t, 3], co[t, 4], co[t, 5])
  if (kr) {
    co <- summary(fit, ddf = "Kenward-Roger")$coefficients
    for (t in rownames(co)) add(case, "kenward-roger-expected", t, co[t, 1], co[t, 2], 1, co[t, 3], co[t, 4], co[t, 5])
    an <- anova(fit, type = "III", ddf = "Kenward-Roger")
    for (t in rownames(an)) add(case, "anova kenward-roger-expected", t, df_numerator = an[t, "NumDF"], df = an[t, "DenDF"],
                                statistic = an[t, "F value"], p = an[t, "Pr(>F)"])
  }
  an <- anova(fit, type = "III")
  for (t in rownames(an)) add(case, "anova", t, df_numerator = an[t, "NumDF"], df = an[t, "DenDF"],
                              statistic = an[t, "F value"], p = an[t, "Pr(>F)"])
  vc <- as.data.frame(VarCorr(fit))
  for (i in seq_len(nrow(vc))) add(case, "variance", paste(vc$grp[i], vc$var1[i], vc$var2[i]), vc$vcov[i])
  add(case, "deviance", "", if (REML) REMLcrit(fit) else deviance(fit))
  for (g in names(ranef(fit))) {
    re <- ranef(fit)[[g]]
    for (i in seq_len(nrow(re))) for (e in colnames(re)) add(case, "ranef", paste(g, rownames(re)[i], e), re[i, e])
  }
}
store("intercept", y ~ visit * arm + (1 | subject))
store("correlated", y ~ week * arm + (week | subject))
store("correlated ml", y ~ week * arm + (week | subject), REML = FALSE)
store("uncorrelated", y ~ week * arm + (week || subject))
store("continuous times", y ~ day * arm + (day | subject))
store("slope only", y ~ week * arm + (0 + week | subject))
store("nested", y ~ visit * arm + (1 | site / subject))
store("crossed", y ~ visit + arm + (1 | subject) + (1 | rater))
store("all", y ~ week * arm + (week | subject) + (1 | rater) + (1 | site))
store("tied", tied ~ week * arm + (week | subject))
out <- do.call(rbind, out)
for (column in c("estimate", "se", "df", "statistic", "p")) out[[column]] <- sprintf("%.17g", out[[column]])
write.csv(out, "mixed_slopes.csv", row.names = FALSE, quote = TRUE, na = "")
