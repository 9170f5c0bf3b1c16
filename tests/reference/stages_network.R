# Oracle for the STAGES example: arm x visit mixed models of network FC by lmerTest.
#
#   connectrial run examples/stages/study.toml OUT
#   Rscript tests/reference/stages_network.R OUT/group/visit_fc.tsv tests/reference/stages_network.csv
#
# Reads the network values that connectrial wrote (so both sides model the same numbers) and stores
# estimates, standard errors and Satterthwaite degrees of freedom with 17 significant digits.
suppressMessages(library(lmerTest))
paths <- commandArgs(trailingOnly = TRUE)
fc <- read.delim(paths[1], na.strings = "n/a", colClasses = c(subject = "character"))
fc <- fc[!is.na(fc$arm), ]
fc$visit <- factor(fc$visit, levels = c("baseline", "month3"))
fc$arm <- factor(fc$arm, levels = c("placebo", "medication"))
control <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhobeg = 2e-4, rhoend = 1e-12, maxfun = 1e5),
                       check.conv.singular = "ignore", calc.derivs = TRUE)
rows <- list()
for (outcome in unique(fc$outcome)) {
  data <- fc[fc$outcome == outcome, ]
  fit <- lmer(fc_z ~ visit + arm + visit:arm + (1 | subject), data, REML = TRUE, control = control)
  table <- coef(summary(fit, ddf = "Satterthwaite"))
  rows[[outcome]] <- data.frame(
    outcome = outcome,
    term = c("Intercept", "visit[month3]", "arm[medication]", "visit[month3]:arm[medication]"),
    estimate = table[, "Estimate"], se = table[, "Std. Error"], df = table[, "df"],
    statistic = table[, "t value"], p = table[, "Pr(>|t|)"],
    deviance = REMLcrit(fit), singular = isSingular(fit, tol = 1e-5),
    n_observations = nrow(data), n_subjects = length(unique(data$subject)))
}
stored <- do.call(rbind, rows)
versions <- paste0("# ", R.version.string, ", lme4 ", packageVersion("lme4"),
                   ", lmerTest ", packageVersion("lmerTest"))
writeLines(versions, paths[2])
suppressWarnings(write.table(format(stored, digits = 17, trim = TRUE), paths[2], sep = ",", quote = FALSE,
                             row.names = FALSE, append = TRUE))
