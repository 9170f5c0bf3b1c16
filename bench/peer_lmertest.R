# CPU seconds of lmerTest, Satterthwaite, edge by edge; run by bench_edges.py.
suppressPackageStartupMessages(library(lmerTest))
args <- commandArgs(trailingOnly = TRUE)
data <- read.csv(args[1], stringsAsFactors = TRUE)
data$arm <- factor(data$arm, c("control", "active"))
edges <- grep("^edge", names(data), value = TRUE)
control <- lmerControl(check.conv.singular = "ignore")
t <- numeric(0)
fit_all <- function() {
  sapply(edges, function(edge) {
    formula <- as.formula(paste(edge, "~ time + arm + age + (1 | subject)"))
    summary(lmer(formula, data, control = control))$coefficients["armactive", c("t value", "df")]
  })
}
spent <- system.time(found <- suppressMessages(fit_all()))
cat(sprintf('{"seconds": %.6f, "t": [%s], "df": [%s]}\n', spent["user.self"] + spent["sys.self"],
            paste(format(found[1, ], digits = 15), collapse = ", "),
            paste(format(found[2, ], digits = 15), collapse = ", ")))
