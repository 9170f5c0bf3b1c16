# Oracle for covariances between visits that nlme does not have: the (restricted) likelihood written
# out, its optimum by optim (BFGS) polished by nlm; base R 4.2.2 alone.
# toep, toeph, ad, adh on mmrm_data.csv, and us, ar1h with one covariance for each arm.
options(contrasts = c("contr.treatment", "contr.poly"), digits = 17)
data <- read.csv("mmrm_data.csv")
data$visit <- factor(data$visit, c("pre", "week1", "week2", "week6"))
data$arm <- factor(data$arm, c("placebo", "drug"))
X <- model.matrix(~ arm * visit + age, data)
v <- as.integer(data$visit)
# what the likelihood needs of each pattern of visits (of each arm): sums of z_a z_b' over its people
Z <- cbind(X, data$y); q <- ncol(Z)
key <- tapply(v, data$subject, paste, collapse = "")[data$subject]
patterns <- lapply(split(seq_len(nrow(data)), paste(key, data$arm)), function(rows) {
  seen <- sort(unique(v[rows])); k <- length(seen)
  C <- matrix(0, q * q, k * k)
  for (a in 1:k) for (b in 1:k)
    C[, (b - 1) * k + a] <- crossprod(Z[rows[v[rows] == seen[a]], , drop = FALSE], Z[rows[v[rows] == seen[b]], , drop = FALSE])
  list(seen = seen, n = length(rows) / k, arm = as.integer(data$arm[rows[1]]), C = C)
})
lag <- abs(outer(1:4, 1:4, "-"))

corr <- list(
  toep = function(r) matrix(c(1, r)[lag + 1], 4),
  ar1 = function(r) r^lag,
  ad = function(r) outer(1:4, 1:4, Vectorize(function(a, b) if (a == b) 1 else prod(r[min(a, b):(max(a, b) - 1)]))))
structures <- list(
  toep = list(corr = "toep", sd = 1, r = 3), toeph = list(corr = "toep", sd = 4, r = 3),
  ad = list(corr = "ad", sd = 1, r = 3), adh = list(corr = "ad", sd = 4, r = 3),
  ar1h = list(corr = "ar1", sd = 4, r = 1))
us <- function(p) { L <- matrix(0, 4, 4); L[lower.tri(L, TRUE)] <- p; L %*% t(L) }
sigma_of <- function(name, p) {
  if (name == "us") return(us(p))
  s <- structures[[name]]
  D <- diag(rep(exp(p[seq_len(s$sd)]), length.out = 4))
  D %*% corr[[s$corr]](tanh(p[s$sd + seq_len(s$r)])) %*% D
}
size_of <- function(name) if (name == "us") 10 else structures[[name]]$sd + structures[[name]]$r

solve_at <- function(name, p, REML, by_arm) {
  k <- size_of(name)
  S <- if (by_arm) list(sigma_of(name, p[1:k]), sigma_of(name, p[k + 1:k])) else list(sigma_of(name, p))
  M <- 0; logdet <- 0
  for (one in patterns) {
    V <- S[[if (by_arm) one$arm else 1]][one$seen, one$seen, drop = FALSE]
    R <- tryCatch(chol(V), error = function(e) NULL)
    if (is.null(R)) return(NULL)
    M <- M + one$C %*% as.vector(chol2inv(R)); logdet <- logdet + 2 * one$n * sum(log(diag(R)))
  }
  M <- matrix(M, q); p <- q - 1; XX <- M[1:p, 1:p]; Xy <- M[1:p, q]; yy <- M[q, q]
  U <- tryCatch(chol(XX), error = function(e) NULL); if (is.null(U)) return(NULL)
  beta <- backsolve(U, backsolve(U, Xy, transpose = TRUE))
  n <- nrow(X) - if (REML) ncol(X) else 0
  deviance <- n * log(2 * pi) + logdet + yy - sum(beta * Xy) + if (REML) 2 * sum(log(diag(U))) else 0
  list(deviance = deviance, beta = drop(beta), se = sqrt(diag(chol2inv(U))))
}
out <- list()
store <- function(case, name, REML = TRUE, by_arm = FALSE) {
  k <- size_of(name) * (1 + by_arm)
  f <- function(p) { s <- solve_at(name, p, REML, by_arm); if (is.null(s) || !is.finite(s$deviance)) 1e10 else s$deviance }
  one <- if (name == "us") t(chol(0.6^lag * 2))[lower.tri(lag, TRUE)] else c(rep(0.3, structures[[name]]$sd), rep(0.5, structures[[name]]$r) / seq_len(structures[[name]]$r))
  p <- rep(one, length.out = k)
  for (round in 1:3) p <- optim(p, f, method = "BFGS", control = list(reltol = 1e-15, maxit = 1000))$par
  p <- suppressWarnings(nlm(f, p, gradtol = 1e-9, steptol = 1e-10, iterlim = 500)$estimate)
  s <- solve_at(name, p, REML, by_arm)
  out[[length(out) + 1]] <<- rbind(
    data.frame(case = case, term = colnames(X), estimate = s$beta, se = s$se),
    data.frame(case = case, term = "deviance", estimate = s$deviance, se = NA))
}
for (name in c("toep", "toeph", "ad", "adh")) store(name, name)
store("adh ml", "adh", REML = FALSE)
for (name in c("us", "ar1h")) store(paste(name, "by arm"), name, by_arm = TRUE)
out <- do.call(rbind, out)
for (column in c("estimate", "se")) out[[column]] <- sprintf("%.17g", out[[column]])
write.csv(out, "mmrm_explicit.csv", row.names = FALSE, quote = TRUE)
