# Oracle for profile intervals of variance components: confint(method = "profile") of lme4 1.1-31,
# which profiles the full likelihood, on mixed_slopes_data.csv.
suppressMessages(library(lme4))
control <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-9, maxfun = 1e6))
data <- read.csv("mixed_slopes_data.csv")
data$arm <- factor(data$arm, c("placebo", "drug"))
out <- list()
for (case in list(list("intercept", y ~ week * arm + (1 | subject)), list("crossed", y ~ week * arm + (1 | subject) + (1 | rater)),
                  list("slope", y ~ week * arm + (week | subject)))) {
  ci <- confint(lmer(case[[2]], data, REML = FALSE, control = control), method = "profile", parm = "theta_",
                oldNames = FALSE)
  out[[length(out) + 1]] <- data.frame(case = case[[1]], component = rownames(ci), low = ci[, 1]^2, high = ci[, 2]^2)
}
out <- do.call(rbind, out)
out <- out[!grepl("^cor", out$component), ]
for (column in c("low", "high")) out[[column]] <- sprintf("%.10g", out[[column]])
write.csv(out, "mixed_intervals.csv", row.names = FALSE, quote = TRUE)
