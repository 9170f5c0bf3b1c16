# Oracle for random-intercept models: lme4 1.1-31, lmerTest 3.1-3, emmeans 1.8.4-1.
# Writes its own simulated data (mixed_intercept_data.csv) and the numbers (mixed_intercept.csv).
suppressMessages({library(lme4); library(lmerTest); library(emmeans)})
options(contrasts = c("contr.treatment", "contr.poly"), digits = 17)
control <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-11, maxfun = 1e5),
                       check.conv.singular = "ignore")
set.seed(20210122)

trial <- expand.grid(visit = c("pre", "week2", "week6"), subject = sprintf("s%02d", 1:24),
                     stringsAsFactors = FALSE)
trial$arm <- ifelse(as.integer(substr(trial$subject, 2, 3)) %% 3 == 0, "ketamine", "placebo")
trial$age <- round(rnorm(24, 40, 11))[as.integer(substr(trial$subject, 2, 3))]
trial$y <- 0.3 + rnorm(24, 0, 0.5)[as.integer(substr(trial$subject, 2, 3))] +
  0.2 * (trial$visit == "week2") * (trial$arm == "ketamine") + rnorm(72, 0, 0.4)
trial$flat <- rnorm(72) + c(1, -1, 0.5) # little between people: the boundary
trial$flat <- trial$flat - 0.6 * ave(trial$flat, trial$subject)
trial$y[c(5, 11, 30, 31, 66)] <- NA
trial$flat[c(5, 11, 30, 31, 66)] <- NA

siegel <- expand.grid(time = c("pre", "week2"), subject = sprintf("p%02d", 1:21),
                      stringsAsFactors = FALSE)
siegel$response <- ifelse(as.integer(substr(siegel$subject, 2, 3)) <= 12, "responder", "non-responder")
siegel <- siegel[-c(14, 37), ]
siegel$y <- 0.1 + rnorm(21, 0, 0.15)[as.integer(substr(siegel$subject, 2, 3))] -
  0.08 * (siegel$time == "week2") + rnorm(40, 0, 0.1)

data <- rbind(
  data.frame(set = "trial", subject = trial$subject, visit = trial$visit, group = trial$arm,
             age = trial$age, y = trial$y, flat = trial$flat),
  data.frame(set = "siegel", subject = siegel$subject, visit = siegel$time, group = siegel$response,
             age = NA, y = siegel$y, flat = NA))
write.csv(format(data, digits = 17, trim = TRUE), "mixed_intercept_data.csv", row.names = FALSE, quote = FALSE)
data <- read.csv("mixed_intercept_data.csv", na.strings = "NA")
trial <- subset(data, set == "trial")
trial$visit <- factor(trial$visit, c("pre", "week2", "week6"))
trial$group <- factor(trial$group, c("placebo", "ketamine"))
siegel <- subset(data, set == "siegel")
siegel$time <- factor(siegel$visit, c("pre", "week2"))
siegel$response <- factor(siegel$group, c("responder", "non-responder"))
siegel$time01 <- as.integer(siegel$time == "week2")
siegel$response01 <- as.integer(siegel$response == "non-responder")

out <- list()
add <- function(case, kind, term, estimate = NA, se = NA, df_numerator = NA, df = NA, statistic = NA, p = NA)
  out[[length(out) + 1]] <<- data.frame(case, kind, term, estimate, se, df_numerator, df, statistic, p)
store <- function(case, fit, anovas = TRUE) {
  co <- summary(fit)$coefficients
  for (t in rownames(co)) add(case, "coefficient", t, co[t, 1], co[t, 2], 1, co[t, 3], co[t, 4], co[t, 5])
  vc <- as.data.frame(VarCorr(fit))
  for (i in seq_len(nrow(vc))) add(case, "variance", vc$grp[i], vc$vcov[i])
  add(case, "deviance", "", if (isREML(fit)) REMLcrit(fit) else deviance(fit))
  re <- ranef(fit)[[1]]
  for (i in seq_len(nrow(re))) add(case, "ranef", rownames(re)[i], re[i, 1])
  if (anovas) for (type in c("I", "II", "III")) {
    an <- anova(fit, type = type)
    for (t in rownames(an)) add(case, paste0("anova", type), t, df_numerator = an[t, "NumDF"], df = an[t, "DenDF"],
                                statistic = an[t, "F value"], p = an[t, "Pr(>F)"])
  }
}
fit <- function(formula, data, REML = TRUE) lmer(formula, data, REML = REML, control = control)

m <- fit(y ~ visit * group + age + (1 | subject), trial)
store("interior", m)
emm <- as.data.frame(emmeans(m, ~ visit * group, lmer.df = "satterthwaite"))
for (i in seq_len(nrow(emm)))
  add("interior", "mean", paste(emm$visit[i], emm$group[i]), emm$emmean[i], emm$SE[i], 1, emm$df[i])
emm <- as.data.frame(emmeans(m, ~ visit, lmer.df = "satterthwaite"))
for (i in seq_len(nrow(emm))) add("interior", "mean", as.character(emm$visit[i]), emm$emmean[i], emm$SE[i], 1, emm$df[i])
L <- rbind(c(0, 0, 0, 0, 0, 1, 0), c(0, 1, -1, 0, 0, 0, 0.5))
ct <- contestMD(m, L)
add("interior", "joint", "two rows", df_numerator = ct$NumDF, df = ct$DenDF, statistic = ct[["F value"]], p = ct[["Pr(>F)"]])
store("ml", fit(y ~ visit * group + age + (1 | subject), trial, REML = FALSE))
store("boundary", fit(flat ~ visit * group + (1 | subject), trial))
store("nested", fit(y ~ visit + visit:group + (1 | subject), trial), anovas = FALSE)
store("slope by group", fit(y ~ group * age + (1 | subject), trial))
store("siegel", fit(y ~ time01 + time01:response01 + (1 | subject), siegel), anovas = FALSE)
store("siegel factors", fit(y ~ time + time:response + (1 | subject), siegel), anovas = FALSE)
out <- do.call(rbind, out)
for (column in c("estimate", "se", "df", "statistic", "p")) out[[column]] <- sprintf("%.17g", out[[column]])
write.csv(out, "mixed_intercept.csv", row.names = FALSE, quote = TRUE, na = "")
