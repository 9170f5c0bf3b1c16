# Oracle of tests/stats/test_period_effects.py: several visits in each period of a crossover, with person and
# person-by-period effects, missing visits and a person without a second period.
# R 4.2.2, lme4 1.1-31, lmerTest 3.1-3, pbkrtest 0.5.2, emmeans 1.8.4-1.
# Simulated data. Run in this folder: Rscript period_effects.R
suppressMessages({library(lmerTest); library(emmeans); library(pbkrtest)})
emm_options(pbkrtest.limit = 1000, lmerTest.limit = 1000)
d <- read.csv("period_effects_data.csv", colClasses = c(subject = "character", period = "character"))
d$treatment <- factor(d$treatment, c("placebo", "ketamine"))
d$visit <- factor(d$visit, c("50 min", "80 min", "165 min", "24 h"))
d$period <- factor(d$period); d$sequence <- factor(d$sequence, c("placebo then ketamine", "ketamine then placebo"))
control <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-12))
out <- list()
put <- function(model, df, term, row) out[[length(out) + 1]] <<- data.frame(model = model, df_method = df, term = term,
  estimate = format(row[[1]], digits = 17), se = format(row[[2]], digits = 17), df = format(row[[3]], digits = 17))
for (random in c("(1 | subject) + (1 | subject:period)", "(1 | subject/period)")) {
  fit <- lmer(as.formula(paste("fc_z ~ treatment * visit + period + sequence +", random)), d, control = control)
  for (how in c("Satterthwaite", "Kenward-Roger")) {
    name <- tolower(how)
    table <- coef(summary(fit, ddf = how))
    for (term in rownames(table)) put(random, name, term, table[term, c("Estimate", "Std. Error", "df")])
    cells <- emmeans(fit, ~ treatment * visit, mode = name)
    acute <- list(acute = c(-1, 1, -1, 1, -1, 1, 0, 0) / 3, delayed = c(0, 0, 0, 0, 0, 0, -1, 1))
    shown <- as.data.frame(contrast(cells, acute))
    for (k in 1:2) put(random, name, as.character(shown$contrast[k]), shown[k, c("estimate", "SE", "df")])
  }
  v <- as.data.frame(VarCorr(fit))
  for (k in seq_len(nrow(v))) put(random, "", paste("variance", v$grp[k]), list(v$vcov[k], NA, NA))
  put(random, "", "deviance", list(REMLcrit(fit), NA, NA))
}
write.csv(do.call(rbind, out), "period_effects.csv", row.names = FALSE, quote = TRUE)
