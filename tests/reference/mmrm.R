# Oracle for covariances between visits: gls of nlme 3.1-162 (deviance, estimates, standard errors).
# Writes its own simulated data (mmrm_data.csv) and the numbers (mmrm.csv).
suppressMessages(library(nlme))
options(contrasts = c("contr.treatment", "contr.poly"), digits = 17)
set.seed(9)
n <- 60
visits <- c("pre", "week1", "week2", "week6")
R <- 0.6^abs(outer(1:4, 1:4, "-")); S <- diag(c(1, 1.3, 1.1, 1.8)); L <- t(chol(S %*% R %*% S))
data <- expand.grid(visit = visits, subject = sprintf("s%02d", 1:n), stringsAsFactors = FALSE)
i <- as.integer(substr(data$subject, 2, 3))
data$arm <- ifelse(i %% 2 == 0, "drug", "placebo")
data$age <- round(rnorm(n, 45, 12))[i]
data$y <- as.vector(sapply(1:n, function(k) L %*% rnorm(4))) + 0.02 * data$age -
  0.5 * match(data$visit, visits) * (data$arm == "drug")
data <- data[-sample(nrow(data), 40), ]
write.csv(format(data, digits = 17, trim = TRUE), "mmrm_data.csv", row.names = FALSE, quote = FALSE)
data <- read.csv("mmrm_data.csv")
data$visit <- factor(data$visit, visits); data$arm <- factor(data$arm, c("placebo", "drug"))
data$time <- as.integer(data$visit)
control <- glsControl(tolerance = 1e-12, msTol = 1e-13, maxIter = 1000, msMaxIter = 5000, opt = "nlminb")
out <- list()
store <- function(case, correlation, weights = NULL, REML = TRUE) {
  fit <- gls(y ~ arm * visit + age, data, correlation = correlation, weights = weights,
             method = if (REML) "REML" else "ML", control = control)
  t <- summary(fit)$tTable
  out[[length(out) + 1]] <<- rbind(
    data.frame(case = case, term = rownames(t), estimate = t[, 1], se = t[, 2]),
    data.frame(case = case, term = "deviance", estimate = -2 * as.numeric(logLik(fit)), se = NA))
}
h <- varIdent(form = ~ 1 | visit)
store("us", corSymm(form = ~ time | subject), h)
store("us ml", corSymm(form = ~ time | subject), h, REML = FALSE)
store("cs", corCompSymm(form = ~ time | subject))
store("csh", corCompSymm(form = ~ time | subject), h)
store("ar1", corAR1(form = ~ time | subject))
store("ar1h", corAR1(form = ~ time | subject), h)
out <- do.call(rbind, out)
for (column in c("estimate", "se")) out[[column]] <- sprintf("%.17g", out[[column]])
write.csv(out, "mmrm.csv", row.names = FALSE, quote = TRUE)
