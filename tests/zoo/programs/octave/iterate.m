% SPDX-License-Identifier: GPL-2.0-or-later
rand ("twister", 14);
a = rand (60);
names = {};
for i = 1:60
  a = a * 0.5 + round (rand (60) * 1000) / 1000;
  names{end + 1} = sprintf ("%d:%d", i, round (sum (a(:))));
  printf ("%d %.8f %s\n", i, det (a / 10), names{end});
  fflush (stdout);
  pause (0.1);
end
f = fopen ("names.txt", "w");
fprintf (f, "%s\n", names{:});
fclose (f);
