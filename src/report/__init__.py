"""Reports as pages for the browser: data sets, training samples, runs and evaluations."""

NAME = "report.html"
