% Oracle of tests/stats/test_permutation.py: PALM (github.com/andersonwinkler/PALM, commit 04095fe) under
% GNU Octave, every exchange done (-n 0): family-wise p over five edges by the largest |t|, Freedman-Lane.
% Whole people: PALM counts arrangements of the tested column alone (20), not of the nuisance with it.
% Simulated data (permutation_palm_data.csv: scheme, subject, nuisance, tested, y1..y5).
% Run in this folder: octave-cli --eval "addpath('PATH/OF/PALM'); permutation_palm"
rand("seed", 7); randn("seed", 7);
round4 = @(x) round(x * 1e4) / 1e4;
person = kron((1:4)', ones(3, 1));                       % within: four people, three visits
dose = repmat([0; 1; 3], 4, 1) + kron([0; .1; .2; .3], ones(3, 1));
motion = round4(rand(12, 1));
y = round4(0.35 * dose * [1 .5 0 1.5 0] + motion * ones(1, 5) + randn(4, 5)(person, :) + randn(12, 5));
table = [ones(12, 1), person, motion, dose, y];
person = kron((1:6)', ones(2, 1));                       % whole: six people, two visits, two arms
arm = kron([1; 0; 1; 0; 0; 1], ones(2, 1)); age = round(20 + 40 * rand(6, 1));
y = round4(1.2 * arm * [1 0 1.5 0 0] + 0.05 * age(person) * ones(1, 5) + randn(6, 5)(person, :) + randn(12, 5));
table = [table; 2 * ones(12, 1), person, age(person), arm, y];
person = (1:9)';                                         % signs: nine people, once each
y = round4(randn(9, 5) + ones(9, 1) * [.4 .8 0 1.2 0]);
table = [table; 3 * ones(9, 1), person, zeros(9, 1), ones(9, 1), y];
file = fopen("permutation_palm_data.csv", "w");
fprintf(file, "scheme,subject,nuisance,tested,y1,y2,y3,y4,y5\n");
fprintf(file, "%d,%d,%.4f,%.4f,%.4f,%.4f,%.4f,%.4f,%.4f\n", table'); fclose(file);
flags = {{"-within"}, {"-whole"}, {"-ise"}};
file = fopen("permutation_palm.csv", "w"); fprintf(file, "scheme,edge,t,p_alone,p_fwe\n");
work = tempname(); mkdir(work);
for k = 1:3
  one = table(table(:, 1) == k, :);
  X = [ones(rows(one), 1), one(:, 3), one(:, 4)]; contrast = [0 0 1];
  if k == 3, X = ones(rows(one), 1); contrast = 1; end
  dlmwrite([work "/y.csv"], one(:, 5:9)); dlmwrite([work "/d.csv"], X); dlmwrite([work "/t.csv"], contrast);
  call = {"-i", [work "/y.csv"], "-d", [work "/d.csv"], "-t", [work "/t.csv"], "-n", "0", "-twotail", "-o", [work "/o"]};
  if k < 3, dlmwrite([work "/eb.csv"], one(:, 2)); call = [call, {"-eb", [work "/eb.csv"]}]; end
  palm(call{:}, flags{k}{:});
  found = [dlmread([work "/o_dat_tstat.csv"])(:), dlmread([work "/o_dat_tstat_uncp.csv"])(:), dlmread([work "/o_dat_tstat_fwep.csv"])(:)];
  for j = 1:5, fprintf(file, "%d,%d,%.17g,%.17g,%.17g\n", k, j, found(j, :)); end
end
fclose(file);
