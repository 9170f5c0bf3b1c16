# Oracle for the ketamine crossover example: mixed models of MADRS, HAM-D 17 and HAM-D 6 by lmerTest,
# their treatment contrasts by emmeans, and hand counts of response and remission.
#
#   Rscript tests/reference/crossover_ketamine.R $CONNECTRIAL_DATA/ds005917 tests/reference/crossover_ketamine.csv
#
# Reads the public tables themselves (OpenNeuro ds005917 v1.0.1) and derives treatment, period,
# sequence and baselines on its own; stores numbers with 17 significant digits.
suppressMessages({library(lmerTest); library(emmeans)})
emm_options(lmer.df = "satterthwaite", lmerTest.limit = 1e5)
paths <- commandArgs(trailingOnly = TRUE)
people <- read.delim(file.path(paths[1], "participants.tsv"), na.strings = "n/a")
scores <- read.delim(file.path(paths[1], "phenotype", "phenotype.tsv"), na.strings = "n/a")
control <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhobeg = 2e-3, rhoend = 1e-12, maxfun = 1e5),
                       check.conv.singular = "ignore", check.nlev.gtr.1 = "ignore")
patients <- people[people$group == "MDD" & !is.na(people$infusion_1), ]
code <- c(d = "ketamine", p = "placebo")
rows <- list()
keep <- function(scale, model, term, estimate, se, df, p, n, people)
  rows[[length(rows) + 1]] <<- data.frame(scale = scale, model = model, term = term, estimate = estimate,
                                          se = se, df = df, p = p, n_observations = n, n_subjects = people)
for (scale in c("MADRS_Total", "HAM17_Total", "HAMD_Bech")) {
  wide <- scores[scores$participant_id %in% patients$participant_id, ]
  wide$score <- wide[[scale]]
  at <- function(id, session) {
    found <- wide$score[wide$participant_id == id & wide$session_id == session]
    if (length(found) == 1) found else NA
  }
  post <- wide[wide$session_id %in% c("ses-d2", "ses-d10", "ses-p2", "ses-p10") & !is.na(wide$score), ]
  letter <- substr(post$session_id, 5, 5)
  first <- patients$infusion_1[match(post$participant_id, patients$participant_id)]
  post$treatment <- factor(code[letter], levels = c("placebo", "ketamine"))
  post$visit <- factor(paste("day", substring(post$session_id, 6)), levels = c("day 2", "day 10"))
  post$period <- factor(ifelse(letter == first, 1, 2))
  post$sequence <- factor(ifelse(first == "p", "placebo then ketamine", "ketamine then placebo"),
                          levels = c("placebo then ketamine", "ketamine then placebo"))
  post$baseline <- sapply(post$participant_id, at, "ses-b0")
  post$own <- ifelse(post$period == 1, post$baseline,
                     mapply(function(id, one) at(id, paste0("ses-", one, "10")), post$participant_id, first))
  store <- function(fit, model, data) {
    n <- nobs(fit); who <- length(unique(model.frame(fit)$participant_id))
    if (model == "main") {
      table <- coef(summary(fit, ddf = "Satterthwaite"))
      for (term in rownames(table))
        keep(scale, model, term, table[term, 1], table[term, 2], table[term, 3], table[term, 5], n, who)
    }
    grid <- emmeans(fit, ~ treatment | visit)
    by_visit <- as.data.frame(contrast(grid, list("ketamine - placebo" = c(-1, 1))))
    for (i in seq_len(nrow(by_visit)))
      keep(scale, model, paste("ketamine - placebo at", by_visit$visit[i]), by_visit$estimate[i],
           by_visit$SE[i], by_visit$df[i], by_visit$p.value[i], n, who)
  }
  main <- lmer(score ~ treatment * visit + period + sequence + baseline + (1 | participant_id) +
                 (1 | participant_id:period), post, control = control)
  store(main, "main", post)
  alone <- post[post$period == 1, ]
  store(lmer(score ~ treatment * visit + baseline + (1 | participant_id), alone, control = control), "period 1", alone)
  own <- post[!is.na(post$own), ]
  own$baseline <- own$own
  store(lmer(score ~ treatment * visit + period + sequence + baseline + (1 | participant_id) +
               (1 | participant_id:period), own, control = control), "period baseline", own)
  if (scale == "MADRS_Total") for (one in c("d", "p")) {
    base <- sapply(patients$participant_id, at, "ses-b0")
    then <- sapply(patients$participant_id, at, paste0("ses-", one, "2"))
    known <- !is.na(base) & !is.na(then)
    keep(scale, "count", paste("response", code[one]), sum((base - then)[known] / base[known] >= 0.5), NA, NA, NA,
         sum(known), sum(known))
    keep(scale, "count", paste("remission", code[one]), sum(then[!is.na(then)] < 10), NA, NA, NA,
         sum(!is.na(then)), sum(!is.na(then)))
  }
}
stored <- do.call(rbind, rows)
versions <- paste0("# ", R.version.string, ", lme4 ", packageVersion("lme4"),
                   ", lmerTest ", packageVersion("lmerTest"), ", emmeans ", packageVersion("emmeans"))
writeLines(versions, paths[2])
suppressWarnings(write.table(format(stored, digits = 17, trim = TRUE), paths[2], sep = ",", quote = FALSE,
                             row.names = FALSE, append = TRUE))
