# Oracle for transformations in formulas: polynomials, scaled and centred covariates, splines.
# lme4 1.1-31, lmerTest 3.1-3. Reads mixed_slopes_data.csv, writes mixed_transforms.csv.
suppressMessages({library(lme4); library(lmerTest); library(splines)})
options(contrasts = c("contr.treatment", "contr.poly"), digits = 17)
control <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-10, maxfun = 1e6),
                       check.conv.singular = "ignore")
data <- read.csv("mixed_slopes_data.csv")
data$arm <- factor(data$arm, c("placebo", "drug"))
out <- list()
store <- function(case, formula) {
  fit <- lmer(formula, data, control = control)
  co <- summary(fit)$coefficients
  an <- anova(fit, type = "I")
  out[[length(out) + 1]] <<- rbind(
    data.frame(case, kind = "coefficient", term = rownames(co), estimate = co[, 1], se = co[, 2],
               df = co[, 3], statistic = co[, 4], p = co[, 5]),
    data.frame(case, kind = "F", term = rownames(an), estimate = NA, se = NA, df = an[, "DenDF"],
               statistic = an[, "F value"], p = an[, "Pr(>F)"]),
    data.frame(case, kind = "deviance", term = "", estimate = REMLcrit(fit), se = NA, df = NA,
               statistic = NA, p = NA))
}
store("poly", y ~ poly(week, 2) * arm + (1 | subject))
store("scale", y ~ scale(day) * arm + (scale(day) | subject))
store("center", y ~ I(day - mean(day)) + arm + (1 | subject))
store("spline", y ~ bs(day, df = 4) + arm + (1 | subject))
write.csv(format(do.call(rbind, out), digits = 17, trim = TRUE), "mixed_transforms.csv", row.names = FALSE)
