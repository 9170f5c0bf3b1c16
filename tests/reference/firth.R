# Oracle of tests/stats/test_logistic.py: Firth logistic regression.
# Estimates and standard errors: brglm2 0.9 (type AS_mean). Profile limits and penalised likelihood-ratio
# tests: the penalised likelihood maximised here by optim, the held coefficient still in the information,
# as Heinze & Schemper (2002) have it. R 4.2.2. Simulated data. Run in this folder: Rscript firth.R
suppressMessages(library(brglm2))
set.seed(1993)
out <- list()
put <- function(what, ...) {
  v <- c(...)
  out[[length(out) + 1]] <<- data.frame(what = what, value = names(v), number = format(unname(v), digits = 17, trim = TRUE))
}
n <- 21
d <- data.frame(auc = round(rnorm(n, 100, 30), 1), age = round(runif(n, 22, 60)),
                sex = sample(c("f", "m"), n, TRUE))
d$dizzy <- as.integer(runif(n) < plogis(-4 + 0.03 * d$auc + 0.5 * (d$sex == "m")))
d$response <- as.integer(d$auc > 105)                 # complete separation by auc
d$rare <- as.integer(d$sex == "m" & runif(n) < 0.5)   # quasi-complete separation by sex
stopifnot(any(d$sex == "m" & d$rare == 0), any(d$rare == 1))
write.csv(d, "firth_people.csv", row.names = FALSE)

penalised <- function(b, X, y) {
  eta <- drop(X %*% b); p <- plogis(eta)
  sum(y * plogis(eta, log.p = TRUE) + (1 - y) * plogis(-eta, log.p = TRUE)) +
    0.5 * as.numeric(determinant(crossprod(X * sqrt(p * (1 - p))))$modulus)
}
climb <- function(X, y, j = NULL, value = 0, start = rep(0, ncol(X))) {
  free <- setdiff(seq_len(ncol(X)), j)
  full <- function(b) { v <- numeric(ncol(X)); v[free] <- b; v[j] <- value; v }
  if (!length(free)) return(penalised(full(numeric()), X, y))
  f <- function(b) { v <- -penalised(full(b), X, y); if (is.finite(v)) v else 1e10 }
  b <- start[free]
  for (i in 1:6) b <- optim(b, f, method = if (i %% 2 && length(free) > 1) "Nelder-Mead" else "BFGS",
                            control = list(reltol = 1e-16, maxit = 5000))$par
  -f(b)
}
for (formula in c("dizzy ~ auc + sex", "response ~ auc + age", "rare ~ sex + age")) {
  f <- as.formula(formula)
  fit <- glm(f, data = d, family = binomial, method = "brglmFit", type = "AS_mean", epsilon = 1e-12, maxit = 1000)
  X <- model.matrix(f, d); y <- d[[all.vars(f)[1]]]; k <- ncol(X)
  se <- summary(fit)$coefficients[, 2]
  for (j in seq_len(k)) {
    # the held coefficient last, the other columns orthogonal: optim then finds the top of the profile
    Q <- qr.Q(qr(X[, -j])) * sqrt(n)
    Z <- cbind(Q, X[, j] - Q %*% crossprod(Q, X[, j]) / n)
    best <- c(qr.solve(Q, X[, -j] %*% coef(fit)[-j] + (X[, j] - Z[, k]) * coef(fit)[j]), coef(fit)[j])
    stopifnot(max(abs(Z %*% best - X %*% coef(fit))) < 1e-8)
    top <- penalised(best, Z, y)
    stopifnot(climb(Z, y, start = best) - top < 1e-8)
    w <- plogis(drop(Z %*% best)); I <- crossprod(Z * sqrt(w * (1 - w)))
    along <- function(v) { b <- best; b[-k] <- best[-k] - solve(I[-k, -k], I[-k, k]) * (v - best[k]); b }
    loss <- function(v) 2 * (top - climb(Z, y, k, v, along(v))) - qchisq(0.95, 1)
    reach <- function(side) { step <- 2 * se[j]; while (loss(best[k] + side * step) < 0) step <- 1.5 * step; best[k] + side * step }
    limit <- function(side) uniroot(loss, sort(unname(c(reach(side), best[k]))), tol = 1e-9)$root
    put(paste(formula, names(coef(fit))[j], sep = " | "), estimate = unname(coef(fit)[j]), se = unname(se[j]),
        statistic = unname(2 * (top - climb(Z, y, k, 0, along(0)))), ci_low = limit(-1), ci_high = limit(1))
  }
}
write.csv(do.call(rbind, out), "firth.csv", row.names = FALSE)
